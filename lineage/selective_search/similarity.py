"""What a region looks like, and the four similarities of two neighbours (Uijlings et al. 2013, section 3.2)."""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit

COLOUR_BINS = 25  # a channel
ORIENTATIONS, TEXTURE_BINS = 8, 10  # a channel
TEXTURE_RANGE = 40.0  # derivative responses from here on share the last bin
DIRECTIONS = np.arange(ORIENTATIONS) * 2 * np.pi / ORIENTATIONS
COSINES, SINES = np.cos(DIRECTIONS).astype(np.float32), np.sin(DIRECTIONS).astype(np.float32)


def region_features(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Describe every segment of a picture (H, W, 3) with channels in 0..255.

    Returns:
        colour (n, 75) and texture (n, 240): histograms of each channel, L1-normalised over all channels;
        sizes (n,) in pixels; boxes (n, 4), right and bottom exclusive.

    Colour: 25 bins over 0..255 a channel. Texture: Gaussian derivatives of sigma 1 in 8 directions, negative
    responses counted as 0 (the opposite direction has them), 10 bins each.
    """
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
    half_difference = np.array([[-0.5, 0.0, 0.5]], np.float32)
    dx = cv2.filter2D(smooth, -1, half_difference, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.filter2D(smooth, -1, half_difference.T, borderType=cv2.BORDER_REPLICATE)
    height, width, channels = image.shape
    count = int(labels.max()) + 1
    colour = np.zeros((count, channels * COLOUR_BINS), np.float32)
    texture = np.zeros((count, channels * ORIENTATIONS * TEXTURE_BINS), np.float32)
    sizes = np.zeros(count, np.int64)
    boxes = np.tile(np.array([width, height, 0, 0], np.int32), (count, 1))
    _count(np.ascontiguousarray(image), dx, dy, labels, colour, texture, sizes, boxes, COSINES, SINES)
    pixels = (sizes[:, None] * channels).astype(np.float32)
    return colour / pixels, texture / (pixels * ORIENTATIONS), sizes, boxes


@njit(cache=True, nogil=True)
def _count(image, dx, dy, labels, colour, texture, sizes, boxes, cosine, sine):
    height, width, channels = image.shape
    for y in range(height):
        for x in range(width):
            r = labels[y, x]
            sizes[r] += 1
            boxes[r, 0], boxes[r, 1] = min(boxes[r, 0], x), min(boxes[r, 1], y)
            boxes[r, 2], boxes[r, 3] = max(boxes[r, 2], x + 1), max(boxes[r, 3], y + 1)
            for c in range(channels):
                colour[r, c * COLOUR_BINS + min(COLOUR_BINS - 1, int(image[y, x, c]) * COLOUR_BINS // 256)] += 1
                for o in range(ORIENTATIONS):
                    response = max(np.float32(0), dx[y, x, c] * cosine[o] + dy[y, x, c] * sine[o])
                    b = min(TEXTURE_BINS - 1, int(response * np.float32(TEXTURE_BINS / TEXTURE_RANGE)))
                    texture[r, (c * ORIENTATIONS + o) * TEXTURE_BINS + b] += 1


@njit(cache=True, nogil=True)
def histogram_intersection(a, b):
    """s_colour and s_texture (equations 1 and 3): the sum of the smaller bins; 1 for equal histograms."""
    total = np.float32(0)
    for i in range(len(a)):
        total += min(a[i], b[i])
    return total


@njit(cache=True, nogil=True)
def size_similarity(size_a, size_b, picture):
    """s_size (equation 4): small regions merge first, so that one region does not swallow all."""
    return 1.0 - (size_a + size_b) / picture


@njit(cache=True, nogil=True)
def fill_similarity(box_a, box_b, size_a, size_b, picture):
    """s_fill (equation 5): how little of the box around both is neither's."""
    width = max(box_a[2], box_b[2]) - min(box_a[0], box_b[0])
    height = max(box_a[3], box_b[3]) - min(box_a[1], box_b[1])
    return 1.0 - (width * height - size_a - size_b) / picture
