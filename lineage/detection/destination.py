"""Where drawn pictures go, decided and checked before any work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lineage.common.file_names import inside
from lineage.detection.sources import Source

PIXELS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")  # what a painted picture is written as
PAGES = (".pdf", ".svg")  # and a figure of one picture
MOVIES = (".mp4", ".avi", ".mkv", ".mov")
DEFAULTS = {"picture": Path("detections.png"), "video": Path("detections.mp4"), "folder": Path("detections")}


@dataclass(frozen=True)
class Destination:
    """What OUT is: a "picture", a "video", or a "folder" of pictures."""

    kind: str
    path: Path


def destination(out: Path | None, sources: Sequence[Source]) -> Destination:
    """What ``out`` is to be for these sources; None takes the one of :data:`DEFAULTS` that fits.

    Raises:
        ValueError: it cannot hold what is to be written.
    """
    moving = sources[0].kind if len(sources) == 1 and sources[0].moves else None
    if out is None:
        kind = "video" if moving == "video" else "picture" if len(sources) == 1 and not moving else "folder"
        return Destination(kind, DEFAULTS[kind])
    suffix = out.suffix.lower()
    if out.is_dir() or not suffix:
        return Destination("folder", out)
    if moving:
        if suffix not in MOVIES:
            raise ValueError(f"-o {out}: a {moving} becomes a folder of pictures, or one of {', '.join(MOVIES)}")
        return Destination("video", out)
    if len(sources) > 1 and suffix not in PIXELS + PAGES + MOVIES:
        return Destination("folder", out)
    if len(sources) > 1:
        raise ValueError(f"-o {out}: {len(sources)} files to look at need a folder, and {out.name} is a file's name")
    if suffix not in PIXELS + PAGES:
        raise ValueError(f"-o {out}: a picture becomes one of {', '.join(PIXELS + PAGES)}, or goes to a folder")
    return Destination("picture", out)


def picture_file(where: Destination, name: PurePosixPath) -> Path:
    """The file for the drawn picture that is called ``name``: x.jpg stays x.jpg, x.gif becomes x.gif.png."""
    if where.kind == "picture":
        return where.path
    return inside(where.path, name if name.suffix.lower() in PIXELS else name.with_name(f"{name.name}.png"))


def check_outputs(outputs: dict[str, list[Path]], inputs: Sequence[Path], folders: dict[str, Path]) -> None:
    """Refuse, before any work, what cannot be written or would write over something.

    Args:
        outputs: the files of each option, such as "-o". inputs: what must survive. folders: of those options that
            name one.
    Raises:
        ValueError: naming the option and the file.
    """
    kept = {_identity(path): path for path in inputs}
    owners: dict[str, str] = {}
    for option, files in outputs.items():
        for file in files:
            identity = _identity(file)
            if identity in kept:
                raise ValueError(f"{option}: {file} would be written over what is read, {kept[identity]}")
            if identity in owners:
                twice = "two of its files" if owners[identity] == option else f"a file of {owners[identity]} and one"
                raise ValueError(f"{option}: {twice} would both be {file}")
            owners[identity] = option
            if file.is_dir():
                raise ValueError(f"{option}: {file} is a folder")
    parents = {(option, file.parent) for option, files in outputs.items() for file in files}
    for option, folder in sorted(parents | set(folders.items())):
        _check_folder(option, folder)


def _check_folder(option: str, folder: Path) -> None:
    """A folder that can be written to, or made."""
    standing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not standing.is_dir():
        raise ValueError(f"{option}: {folder} cannot be a folder: {standing} is a file")
    if not os.access(standing, os.W_OK | os.X_OK):
        raise ValueError(f"{option}: {standing} cannot be written to")


def _identity(path: Path) -> str:
    """Equal for two names of one file, as far as it can be told."""
    return os.path.normcase(os.path.realpath(path))
