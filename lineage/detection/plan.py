"""What is looked at and what is written, settled before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lineage.detection.destination import DEFAULTS, Destination, check_outputs, destination, picture_file
from lineage.detection.drawn import check_codec
from lineage.detection.results import result_files
from lineage.detection.shots import check_camera
from lineage.detection.sources import Source, camera, find_sources


@dataclass(frozen=True)
class Plan:
    """All inputs and outputs of one command.

    Attributes:
        drawn: where pictures are drawn; None: nowhere. results: path by format, such as {"json": Path("r.json")}.
    """

    sources: list[Source]
    drawn: Destination | None
    results: dict[str, Path]

    @property
    def lone_picture(self) -> bool:
        return len(self.sources) == 1 and not self.sources[0].moves


def make_plan(
    pictures: Sequence[str],
    camera_number: int | None,
    out: Path | None,
    results: dict[str, Path],
    keep: Sequence[Path] = (),
) -> Plan:
    """Find all that is to be looked at, and check all that is to be written.

    Args:
        out: None draws nothing where results are asked for, else to one of
            :data:`~lineage.detection.destination.DEFAULTS`. keep: other files that must not be written over.
    Raises:
        ValueError: naming the argument that cannot be what it is.
    """
    if bool(pictures) == (camera_number is not None):
        raise ValueError("give pictures, folders, patterns or videos, or else --camera")
    if camera_number is None:
        sources = find_sources(pictures, [out] if out is not None else [*DEFAULTS.values()])
    else:
        sources = [camera(camera_number)]
        check_camera(sources[0])
    drawn = destination(out, sources) if out is not None or not results else None
    names = [source.name for source in sources if not source.moves]
    outputs: dict[str, list[Path]] = {}
    folders: dict[str, Path] = {}
    for kind, path in results.items():
        outputs[f"--{kind}"] = result_files(kind, path, names)
        if kind == "yolo":
            folders["--yolo"] = path
        elif path.is_dir():
            raise ValueError(f"--{kind}: {path} is a folder; a file is wanted")
    if drawn is not None:
        pictures_drawn = [] if drawn.kind == "video" else [picture_file(drawn, name) for name in names]
        outputs["-o"] = [drawn.path] if drawn.kind == "video" else pictures_drawn
        if drawn.kind == "folder":
            folders["-o"] = drawn.path
        elif drawn.kind == "video":
            check_codec(drawn.path)
    check_outputs(outputs, [*(source.path for source in sources), *keep], folders)
    return Plan(sources, drawn, results)
