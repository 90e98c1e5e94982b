"""A file from the net: resumed where it broke off, checked, and unpacked wholly or not at all."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from lineage.common.checkpoint import to_disk
from lineage.common.folders import tree_to_disk
from lineage.common.progress import progress_bar
from lineage.common.values import amount

CHUNK = 2**20  # bytes
TIMEOUT = 60.0  # seconds without a byte


class DownloadError(OSError):
    """A file could not be fetched; the message says from where, why, and what to do."""


def fetch(url: str, digest: str, target: Path) -> None:
    """Fetch ``url`` to the file ``target``; does nothing if that is there.

    What arrives is kept in ``target`` + ".part", and a second call asks for the rest only. A file whose checksum is
    wrong is deleted: going on from it would never help.

    Args:
        digest: of the whole file, such as "md5:0123..." or "sha256:0123...", or how it begins; "" takes what comes.
    Raises:
        DownloadError: no connection, a connection that broke off, no room on the disk, or a wrong checksum.
    """
    if target.exists():
        return
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    if not digest:
        part.unlink(missing_ok=True)  # nothing would tell that the rest is another file's
    _receive(url, part)
    if digest and not (found := file_digest(part, digest.partition(":")[0])).startswith(digest):
        part.unlink()
        raise DownloadError(f"{url}: {found}, expected {digest}; what came is deleted, run the same command again")
    to_disk(part)
    os.replace(part, target)
    to_disk(target.parent)


def _receive(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "lineage", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
            if url.startswith("https:") and not response.geturl().startswith("https:"):
                raise DownloadError(f"{url}: leads to {response.geturl()}, which anybody on the way could change")
            if response.status != http.HTTPStatus.PARTIAL_CONTENT:
                have = 0  # a server that cannot resume sends all of it
            total = have + int(response.headers.get("Content-Length", 0))
            _check_room(part.parent, 2 * total - have)
            have += _copy(response, part, have, total)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # there is no rest: all of it came before; the checksum will say
        raise DownloadError(f"{url}: the server answers {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise DownloadError(f"{url}: cannot be reached ({error.reason}); is there a network?") from None
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise DownloadError(f"{url}: {_broken_off(part)} ({error}); the same command goes on from there") from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DownloadError(f"{part}: no space left on the disk: {_broken_off(part)}; make room, and the same command "
                            "goes on from there") from None  # fmt: skip
    if have < total:
        raise DownloadError(f"{url}: {_broken_off(part)} of {total}; the same command goes on from there")


def _copy(response: http.client.HTTPResponse, part: Path, have: int, total: int) -> int:
    """Append the response to ``part``; the bytes that came, which may be fewer than were promised."""
    copied = 0
    with open(part, "ab" if have else "wb") as file, progress_bar(f"fetch {part.stem} (MB)", total >> 20) as advance:
        advance(have >> 20, "")
        while chunk := response.read(CHUNK):
            file.write(chunk)
            before, copied = copied, copied + len(chunk)
            advance(((have + copied) >> 20) - ((have + before) >> 20), "")
    return copied


def _broken_off(part: Path) -> str:
    return f"broke off after {part.stat().st_size if part.exists() else 0} bytes"


def _check_room(folder: Path, needed: int) -> None:
    """For the rest of the archive and for what it unpacks to: pictures do not compress."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(f"{folder}: needs {amount(needed)}, and {amount(free)} are free")


def file_digest(path: Path, kind: str) -> str:
    """Of a file's contents, as :func:`fetch` takes it: "sha256:0123..."."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return f"{kind}:{digest.hexdigest()}"


def unpack(archive: Path, into: Path) -> None:
    """Unpack a tar archive into a folder, which may hold another archive's files already, and delete it.

    Raises:
        DownloadError: the archive is damaged, or the disk is full; nothing of it is left in ``into``.
    """
    aside = into / f".{archive.name}.unpacking"
    shutil.rmtree(aside, ignore_errors=True)
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.10.12, 3.11.4 and later
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(aside, **safely)  # type: ignore[arg-type]
        tree_to_disk(aside)
        shutil.copytree(aside, into, copy_function=os.replace, dirs_exist_ok=True)
    except (OSError, tarfile.TarError) as error:
        raise DownloadError(f"{archive}: cannot be unpacked: {error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    archive.unlink()
