"""No picture is decoded that is too large, and no file that is none of the formats of pictures."""

from __future__ import annotations

import resource
import struct
import time
import zlib
from pathlib import Path

import cv2
import joblib
import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from PIL import Image
from typer.testing import CliRunner

from lineage import check
from lineage.data import opened
from lineage.data.findings import VOCFormatError
from lineage.data.opened import LIMIT, MEGAPIXELS, most_megapixels
from lineage.data.pictures import read_header, read_image, why_unreadable

READERS = (read_image, read_header, why_unreadable)


def png(path: Path, width: int, height: int, rows: int = 0) -> Path:
    """A grey PNG that says it has so many pixels, and has ``rows`` of them: each is a few compressed bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    compress = zlib.compressobj(9)
    data = b"".join(compress.compress(bytes(width + 1)) for _ in range(rows)) + compress.flush()
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


def refusal(read, path: Path) -> str:
    """In what words a reader refuses a file."""
    try:
        return read(path) or ""
    except VOCFormatError as error:
        return str(error)


def test_a_picture_that_would_take_gigabytes_is_refused_by_its_header(tmp_path):
    path = png(tmp_path / "bomb.jpg", 16_000, 16_000, rows=16_000)
    assert path.stat().st_size < 500_000
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    said = {refusal(read, path) for read in READERS}
    assert said == {f"{path}: 16000 x 16000 are 256 megapixels, more than the limit of 100; --max-megapixels raises it"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
    assert time.perf_counter() - start < 5


def test_a_tile_that_would_take_gigabytes_is_refused_as_well(tmp_path):
    """However small the picture is that is cut from it."""
    tags = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 277: 1, 322: 32_768, 323: 32_768, 324: 8, 325: 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    (tmp_path / "x.tif").write_bytes(data)
    assert "32768 x 32768 are 1.07e+03 megapixels" in refusal(read_image, tmp_path / "x.tif")


def test_the_limit_may_be_raised_beyond_pillows_and_processes_know_it(tmp_path, monkeypatch, recwarn):
    path = png(tmp_path / "x.png", 200, 100, rows=100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setenv(LIMIT, "0.019")
    get_reusable_executor().shutdown()  # of an earlier test: processes keep the limit that they were started with
    for said in (refusal(read_image, path), *joblib.Parallel(n_jobs=2)([joblib.delayed(refusal)(read_image, path)])):
        assert "200 x 100 are 0.02 megapixels, more than the limit of 0.019" in said
    get_reusable_executor().shutdown()
    monkeypatch.setenv(LIMIT, "0.021")
    assert read_image(path).shape == (3, 100, 200)
    assert Image.MAX_IMAGE_PIXELS == 100 and not recwarn.list


@pytest.mark.parametrize("said", ["", "many", "0", "-1", "nan"])
def test_a_limit_that_is_none_is_refused(said, monkeypatch):
    monkeypatch.setenv(LIMIT, said)
    with pytest.raises(ValueError, match=rf"\$LINEAGE_MAX_MEGAPIXELS: '{said}' is no number above 0"):
        most_megapixels()


def test_without_a_word_it_is_the_packages_own(monkeypatch):
    monkeypatch.delenv(LIMIT, raising=False)
    assert most_megapixels() == MEGAPIXELS


def test_a_program_is_no_picture_whatever_its_name(tmp_path, monkeypatch):
    """PostScript would be run by Ghostscript, if Pillow were asked."""
    monkeypatch.setattr("subprocess.Popen", None)
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with Image.open(path) as image:
        assert image.format == "EPS"
    assert all("it is none, or of an unknown format" in refusal(read, path) for read in READERS)


@pytest.mark.parametrize("kind", ["jpg", "png", "bmp", "gif", "tif", "webp", "ppm", "jp2", "tga"])
def test_what_pictures_come_in_is_read(kind, tmp_path):
    path = tmp_path / f"x.{kind}"
    try:
        Image.fromarray(np.full((30, 40, 3), 100, np.uint8)).save(path)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow cannot write {kind}")
    assert read_image(path).shape == (3, 30, 40)


def test_each_picture_is_opened_there():
    """Nothing else in the package asks Pillow or OpenCV for a file."""
    package = Path(opened.__file__).parents[1]
    asking = {path.name for path in package.rglob("*.py") if "Image.open(" in path.read_text(encoding="utf-8")}
    assert asking == {"opened.py"}
    assert not [path for path in package.rglob("*.py") if "cv2.imread(" in path.read_text(encoding="utf-8")]


def test_a_command_says_it_and_what_raises_it(tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT, "100")
    folder = tmp_path / "set"
    (folder / "JPEGImages").mkdir(parents=True)
    cv2.imwrite(str(folder / "JPEGImages" / "a.png"), np.zeros((100, 200, 3), np.uint8))
    (folder / "Annotations").mkdir()
    (folder / "Annotations" / "a.xml").write_text("<annotation></annotation>")
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "trainval.txt").write_text("a\n")
    result = CliRunner().invoke(check.app, [str(folder), "--max-megapixels", "0.01"])
    assert result.exit_code == 1 and "more than the limit of 0.01; --max-megapixels raises it" in result.output
    for wrong in ("0", "-1", "nan"):
        result = CliRunner().invoke(check.app, [str(folder), "--max-megapixels", wrong])
        assert result.exit_code == 2 and f"{wrong} is no number above 0" in result.output
