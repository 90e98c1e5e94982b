"""What to look at: pictures, folders of pictures, patterns, videos, a camera."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

EVERY = 10  # frames: three looks a second at an ordinary video
PICTURES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm",
    ".jp2", ".tga", ".avif", ".heic", ".heif",  # a suffix that this Pillow cannot read is named, and not passed over
)  # fmt: skip
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".mts")


@dataclass(frozen=True)
class Source:
    """One file, or the camera.

    Attributes:
        path: as it was given, or found; the camera's is "camera 0".
        name: where what is made of it lies inside an output folder, such as a/x.jpg. A video's is the folder of its
            frames: "." for a lone video.
    """

    path: Path
    name: PurePosixPath
    kind: str = "picture"  # or "video" or "camera"
    camera: int | None = None

    @property
    def moves(self) -> bool:
        """It has frames."""
        return self.kind != "picture"


def camera(number: int) -> Source:
    """The camera that OpenCV knows by this number."""
    return Source(Path(f"camera {number}"), PurePosixPath("."), "camera", number)


def find_sources(arguments: Sequence[str], without: Sequence[Path] = ()) -> list[Source]:
    """Every file that the arguments name, once, in their order; within a folder or a pattern sorted by path.

    A file is a picture unless it has a video's suffix. A folder gives the pictures in it and in its subfolders,
    hidden ones excepted. A pattern may say ``**``; a file or folder of that very name goes before the pattern.

    Args:
        without: files and folders that are passed over inside folders and patterns: where earlier results lie.
    Raises:
        ValueError: an argument names nothing.
    """
    bases: dict[Path, Path] = {}  # of each file: the folder that its name starts from
    given: dict[Path, Path] = {}  # its path as given
    for argument in arguments:
        found, base = _files(argument, without)
        for path in found:
            absolute = _absolute(path)
            bases.setdefault(absolute, base if absolute.is_relative_to(base) else absolute.parent)
            given.setdefault(absolute, path)
    root, lone = _common(set(bases.values())), len(bases) == 1
    sources = []
    for absolute, path in given.items():
        kind = "video" if _is_video(path) else "picture"
        name = PurePosixPath(".") if lone and kind == "video" else _name(absolute, root)
        sources.append(Source(path, name, kind))
    return sources


def _files(argument: str, without: Sequence[Path]) -> tuple[list[Path], Path]:
    """The files that one argument names, and the folder that their names start from."""
    path = Path(argument)
    if path.is_dir():
        found = _pictures_in(path, [other for other in without if not _lies_in(path, [other])])  # who names it wants it
        if not found:
            raise ValueError(f"{path}: no picture in this folder ({', '.join(PICTURES[:6])} ...)")
        return found, _absolute(path)
    if path.exists():
        return [path], _absolute(path).parent
    if not glob.has_magic(argument):
        raise ValueError(f"{argument}: no such picture, folder or video")
    found = []
    for match in map(Path, sorted(glob.glob(argument, recursive=True))):
        if _lies_in(match, without):
            continue
        if match.is_dir():
            found += _pictures_in(match, without)
        elif _is_picture(match) or _is_video(match):
            found.append(match)
    if not found:
        raise ValueError(f"{argument}: no picture or video matches this pattern")
    return found, _absolute(_before_pattern(path))


def _pictures_in(folder: Path, without: Sequence[Path]) -> list[Path]:
    """Pictures in a folder and its subfolders, sorted; nothing hidden (macOS leaves ._x.jpg beside x.jpg)."""
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [
            name for name in folders if not name.startswith(".") and not _lies_in(Path(parent, name), without)
        ]
        files += [Path(parent, name) for name in names if not name.startswith(".")]
    videos = sum(map(_is_video, files))
    if videos:
        warnings.warn(f"{folder}: videos in it ({videos}) are not looked at: give them by name", stacklevel=2)
    pictures = [path for path in files if _is_picture(path) and not _lies_in(path, without)]
    return sorted(pictures, key=lambda path: path.parts)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEOS


def _absolute(path: Path) -> Path:
    """With ".." resolved by its letters, and symbolic links left as they are."""
    return Path(os.path.abspath(path))


def _lies_in(path: Path, others: Sequence[Path]) -> bool:
    """It is one of ``others``, or in it."""
    return any(_absolute(path).is_relative_to(_absolute(other)) for other in others)


def _before_pattern(path: Path) -> Path:
    """The leading parts of a pattern that are plain names; its last part never is one."""
    parts = path.parts[:-1]
    first = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:first])


def _common(folders: set[Path]) -> Path | None:
    """The folder that holds all of ``folders``; None on Windows where they lie on several drives."""
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:
        return None


def _name(path: Path, root: Path | None) -> PurePosixPath:
    if root is not None:
        return PurePosixPath(path.relative_to(root).as_posix())
    return PurePosixPath(path.drive.strip(":\\/").replace("\\", "_") or "_", *path.parts[1:])
