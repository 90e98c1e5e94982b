import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import boxes

from lineage.sppnet.mapping import choose_scale, window_to_cells


@given(boxes(extent=60), st.sampled_from([0.0, 3.5]), st.sampled_from([8, 16]), st.integers(1, 12), st.integers(1, 12))
def test_cells_are_those_whose_centres_lie_strictly_inside_the_window(found, offset, stride, rows, columns):
    """Brute force over every cell of an endless map, then cut to the real one; moved so that some lie off it."""
    windows = found - 20
    cells = window_to_cells(windows, stride, (rows, columns), offset)
    assert cells.dtype == torch.int64
    assert cells.shape == (len(found), 4)
    for window, cell in zip(windows.tolist(), cells.tolist()):
        for low, high, first, last, count in (
            (window[0], window[2], cell[0], cell[2], columns),
            (window[1], window[3], cell[1], cell[3], rows),
        ):
            inside = [x for x in range(-20, 40) if low < stride * x + offset < high]
            if inside:
                assert first == min(max(inside[0], 0), count - 1)
                assert last == min(max(inside[-1], 0), count - 1)
            else:
                assert first == last
                middle = ((low + high) / 2 - offset) / stride
                if 0 <= middle <= count - 1:
                    assert abs(first - middle) <= 0.5
                else:
                    assert first == (0 if middle < 0 else count - 1)


def test_the_papers_rule_by_hand():
    """floor(x / S) + 1 and ceil(x / S) - 1: a window whose edge meets a centre leaves that cell out."""
    cells = window_to_cells(torch.tensor([[0.0, 16, 64, 65]]), 16, (10, 10))
    assert cells.tolist() == [[1, 2, 3, 4]]


def test_the_offset_shifts_the_cells_centres():
    """Stride 8, offset 3.5: centres at 3.5, 11.5, 19.5, 27.5."""
    cells = window_to_cells(torch.tensor([[3.0, 4, 20, 28]]), 8, (10, 10), 3.5)
    assert cells.tolist() == [[0, 1, 2, 3]]


@given(boxes(), st.integers(1, 9), st.integers(1, 9), st.integers(-200, 200))
def test_cells_never_leave_the_map_and_are_never_empty(found, rows, columns, shift):
    cells = window_to_cells(found + shift, 8, (rows, columns), 3.5)
    assert (cells >= 0).all()
    assert (cells[:, 2] < columns).all() and (cells[:, 3] < rows).all()
    assert (cells[:, :2] <= cells[:, 2:]).all()


@given(boxes(low=1), st.lists(st.floats(0.2, 6.0), min_size=1, max_size=6, unique=True), st.sampled_from([64, 224]))
def test_the_scale_is_the_one_that_brings_the_area_nearest_to_the_view(found, factors, view):
    chosen = choose_scale(found, factors, view)
    for (x1, y1, x2, y2), scale in zip(found.tolist(), chosen.tolist()):
        distances = [abs((x2 - x1) * f * (y2 - y1) * f - view**2) for f in factors]
        assert math.isclose(distances[scale], min(distances), rel_tol=1e-4, abs_tol=view**2 * 1e-5)


def test_small_windows_are_read_at_large_scales():
    windows = torch.tensor([[0.0, 0, 56, 56], [0, 0, 112, 112], [0, 0, 400, 400]])
    assert choose_scale(windows, [1.0, 2.0, 4.0], 224).tolist() == [2, 1, 0]


@pytest.mark.parametrize("size", [(1, 1), (3, 1)])
def test_no_windows_give_no_cells(size):
    assert window_to_cells(torch.zeros(0, 4), 8, size).shape == (0, 4)
