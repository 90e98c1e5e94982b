"""Whatever a folder of pictures holds comes out as RGB in 0..1, or as one message that names the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lineage.data.findings import VOCFormatError
from lineage.data.pictures import read_image

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
