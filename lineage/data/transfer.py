"""Pictures of a data set to another place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lineage.common.file_names import inside
from lineage.common.progress import track
from lineage.data.records import Records


def put_pictures(records: Records, folder: Path, link: bool) -> None:
    """Every picture as FOLDER/ID.suffix.

    Args:
        link: by symbolic links to where the pictures lie; copied where the file system has none.
    """
    for name, picture in track(records.pictures.items(), "pictures", len(records.pictures)):
        target = inside(folder, records.file_name(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        if link:
            link_or_copy(picture.path, target)
        else:
            shutil.copyfile(picture.path, target)


def link_or_copy(source: Path, target: Path) -> None:
    """A symbolic link to where a file lies; a copy where the file system, or a Windows account, has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.symlink(source.resolve(), target)
    except (OSError, NotImplementedError):
        shutil.copyfile(source, target)
