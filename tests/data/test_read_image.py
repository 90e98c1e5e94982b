"""Whatever a folder of pictures holds comes out as RGB in 0..1, or as one message that names the file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from lineage.data.findings import VOCFormatError
from lineage.data.pictures import contents_digest, read_image, why_unreadable

ORIENTATION = 0x0112  # EXIF tag


def test_rgb_pixels_keep_their_place_and_value(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == torch.float32 and image.shape == (3, 5, 7)
    np.testing.assert_allclose(image.permute(1, 2, 0).numpy(), pixels / 255, atol=1e-6)


def test_one_pixel(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (255, 0, 51)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").flatten().tolist() == pytest.approx([1.0, 0.0, 0.2])


@pytest.mark.parametrize(
    ("mode", "colour", "rgb", "suffix"),
    [
        ("L", 102, (0.4, 0.4, 0.4), ".png"),
        ("L", 102, (0.4, 0.4, 0.4), ".jpg"),
        ("1", 1, (1.0, 1.0, 1.0), ".png"),
        ("I;16", 102 * 257, (0.4, 0.4, 0.4), ".png"),
        ("RGBA", (255, 0, 0, 255), (1.0, 0.0, 0.0), ".png"),
        ("RGBA", (255, 0, 0, 51), (1.0, 0.8, 0.8), ".png"),  # a fifth of red on white
        ("LA", (0, 51), (0.8, 0.8, 0.8), ".png"),
        ("CMYK", (0, 255, 255, 0), (1.0, 0.0, 0.0), ".jpg"),
    ],
)
def test_other_modes_become_rgb(tmp_path: Path, mode: str, colour: object, rgb: tuple, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new(mode, (16, 8), colour).save(path)
    image = read_image(path)
    assert image.shape == (3, 8, 16)
    assert image[:, 4, 8].tolist() == pytest.approx(rgb, abs=0.02)


def test_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 2), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((3, 1), 1)
    picture.save(tmp_path / "a.png", transparency=0)
    image = read_image(tmp_path / "a.png")
    assert image[:, 0, 0].tolist() == [1, 1, 1] and image[:, 1, 3].tolist() == [0, 0, 1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_gives_the_displayed_picture(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :16] = 255  # the displayed picture is white at its top left only
    undo = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.transpose(1, 0, 2),
        6: np.rot90, 7: lambda a: np.rot90(a, 2).transpose(1, 0, 2), 8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(undo[orientation](upright))
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (3, 32, 48)
    np.testing.assert_allclose(image[0].numpy(), upright[..., 0] / 255, atol=0.1)


@pytest.mark.parametrize("keep", [0, 2, 20, 200, 1500])
def test_truncated_jpeg_names_the_file(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "000123.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    assert path.stat().st_size > keep
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(VOCFormatError, match=r"000123\.jpg") as error:
        read_image(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"not a picture at all", b"\xff\xd8\xff\xe0" + bytes(300)])
def test_no_picture_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "000123.jpg"
    path.write_bytes(content)
    with pytest.raises(VOCFormatError, match=r"000123\.jpg"):
        read_image(path)


def test_missing_picture_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(VOCFormatError, match=r"gone\.jpg: no such picture"):
        read_image(tmp_path / "gone.jpg")


def write_deep(path: Path, samples: np.ndarray) -> None:
    assert cv2.imwrite(str(path), samples)


@pytest.mark.parametrize(("bits", "suffix"), [(10, ".png"), (12, ".png"), (12, ".tif"), (14, ".png"), (16, ".tif")])
def test_samples_of_any_depth_fill_the_range(tmp_path: Path, bits: int, suffix: str) -> None:
    """A 12-bit camera writes 0..4095 into 16 bits: read as 16 bits, the picture would be black."""
    top = 2**bits - 1
    write_deep(tmp_path / f"a{suffix}", np.array([[0, top // 2], [top, top // 4]], np.uint16))
    image = read_image(tmp_path / f"a{suffix}")
    assert image[0].flatten().tolist() == pytest.approx([0, 0.5, 1, 0.25], abs=0.005)
    assert torch.equal(image[0], image[1])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_colours_keep_their_place(tmp_path: Path, suffix: str) -> None:
    bgr = np.zeros((4, 6, 3), np.uint16)
    bgr[1, 2] = (4095, 2047, 0)  # OpenCV writes blue first
    write_deep(tmp_path / f"a{suffix}", bgr)
    assert read_image(tmp_path / f"a{suffix}")[:, 1, 2].tolist() == pytest.approx([0, 0.5, 1], abs=0.005)


@pytest.mark.parametrize(("top", "expected"), [(1.0, 0.5), (255.0, 0.5), (4095.0, 0.5), (0.25, 0.125)])
def test_floats_are_shares_or_samples(tmp_path: Path, top: float, expected: float) -> None:
    Image.fromarray(np.array([[0.0, top / 2], [top, 0]], np.float32)).save(tmp_path / "a.tif")
    assert float(read_image(tmp_path / "a.tif")[0, 0, 1]) == pytest.approx(expected, abs=0.01)


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.0, np.nan]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(VOCFormatError, match=r"a\.tif.*NaN"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
def test_what_cannot_be_read_is_known_without_all_the_work(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    assert why_unreadable(path) is None
    whole = path.read_bytes()
    for keep in (0, 10, len(whole) // 2):
        path.write_bytes(whole[:keep])
        with pytest.raises(VOCFormatError):
            read_image(path)
        assert str(path) in (why_unreadable(path) or "")


def test_a_digest_follows_the_contents(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = contents_digest(path)
    (tmp_path / "b").write_bytes(b"one")
    assert contents_digest(tmp_path / "b") == first
    path.write_bytes(b"two!")
    assert contents_digest(path) != first
