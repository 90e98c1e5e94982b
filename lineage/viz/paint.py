"""Boxes painted into the pixels of a picture, which keeps its size: a photograph's, a video frame's.

The figures of :mod:`lineage.viz.boxes` are for pages: as large as the page wants, in any vector format. Colours and
line styles are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from PIL.ImageFont import FreeTypeFont
from torch import Tensor

from lineage.common.inputs import check_image
from lineage.viz.lettering import bundled_font, font_file, font_of, writable
from lineage.viz.style import check_boxes, class_style, ink

LINE, LETTERS = 1 / 250, 1 / 55  # of the picture's longer side: as wide and high as in the figures
LEAST_LETTERS = 10  # pixels
SHADE = (0, 0, 0, 128)  # beneath a line, so that any colour shows on any picture


def paint_boxes(image: Tensor, boxes: Tensor, labels: Tensor, scores: Tensor, classes: Sequence[str]) -> np.ndarray:
    """A picture's pixels (H, W, 3) uint8 RGB with boxes, each with its class and score, the surest on top.

    Args:
        image: (3, H, W), 0..1. boxes: (N, 4) pixels. labels: (N,) in 1..C. scores: (N,). classes: C names.
    Raises:
        ValueError: not a picture, or shapes do not fit.
    """
    check_image(image)
    boxes = check_boxes(boxes, labels=labels, scores=scores)
    pixels = image.detach().cpu().clamp(0, 1).mul_(255).round_().to(torch.uint8).permute(1, 2, 0)  # (H, W, 3)
    canvas = Image.fromarray(pixels.contiguous().numpy())
    draw = ImageDraw.Draw(canvas, "RGBA")
    longer = max(canvas.size)
    width, size = max(1, round(longer * LINE)), max(LEAST_LETTERS, round(longer * LETTERS))
    for i in scores.argsort().tolist():
        label, corners = int(labels[i]), _whole_pixels(boxes[i].tolist())
        colour, style = class_style(label)
        name = writable(classes[label - 1], label)
        _outline(draw, corners, colour, style, width)
        _tag(draw, corners, f"{name} {float(scores[i]):.2f}", colour, font_of(font_file(name) or bundled_font(), size))
    return np.asarray(canvas)


def _whole_pixels(box: Sequence[float]) -> tuple[int, int, int, int]:
    """The first and last column and row of the pixels that a box touches, at least one of each."""
    left, top = (int(np.floor(value)) for value in box[:2])
    return left, top, max(left, int(np.ceil(box[2])) - 1), max(top, int(np.ceil(box[3])) - 1)


def _outline(draw: Any, corners: tuple[int, int, int, int], colour: str, style: str, width: int) -> None:
    """A line of ``width`` pixels along the inside of the box, on a shade that is a little wider."""
    left, top, right, bottom = corners
    edge = max(1, width // 3)
    draw.rectangle((left - edge, top - edge, right + edge, bottom + edge), outline=SHADE, width=width + 2 * edge)
    if style == "solid":
        draw.rectangle(corners, outline=colour, width=width)
        return
    dash, gap = (4 * width, 2 * width) if style == "dashed" else (width, width)
    for x in range(left, right + 1, dash + gap):
        for y in (top, bottom - width + 1):
            draw.rectangle((x, y, min(x + dash, right + 1) - 1, y + width - 1), fill=colour)
    for y in range(top, bottom + 1, dash + gap):
        for x in (left, right - width + 1):
            draw.rectangle((x, y, x + width - 1, min(y + dash, bottom + 1) - 1), fill=colour)


def _tag(draw: Any, corners: tuple[int, int, int, int], text: str, colour: str, font: FreeTypeFont) -> None:
    """A label above the box's top left corner, inside it when there is no room, and never beyond the right border."""
    ascent, descent = font.getmetrics()
    margin = max(1, ascent // 8)
    width, height = round(draw.textlength(text, font=font)) + 2 * margin, ascent + descent + margin
    left = max(0, min(corners[0], draw.im.size[0] - width))
    top = corners[1] - height if corners[1] >= height else corners[1]
    draw.rectangle((left, top, left + width - 1, top + height - 1), fill=colour)
    draw.text((left + margin, top + margin // 2), text, font=font, fill=ink(colour))
