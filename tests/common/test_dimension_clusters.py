from __future__ import annotations

import pytest
import torch

from lineage.common.boxes import box_iou
from lineage.common.dimension_clusters import cluster_sizes, size_iou
from lineage.common.sampling import seeded_generator


def test_overlap_of_sizes_is_that_of_boxes_laid_corner_on_corner():
    sizes = torch.rand(20, 2, generator=seeded_generator(0)) * 50 + 1
    boxes = torch.cat([torch.zeros(20, 2), sizes], dim=1)
    torch.testing.assert_close(size_iou(sizes, sizes), box_iou(boxes, boxes))


def test_clusters_are_found_again_whatever_their_size():
    centres = torch.tensor([[8.0, 12], [40, 36], [90, 200], [300, 180]])
    spread = 1 + 0.1 * (torch.rand(400, 2, generator=seeded_generator(1)) - 0.5)
    sizes = centres.repeat(100, 1) * spread
    found = cluster_sizes(sizes, 4, seeded_generator(2))
    torch.testing.assert_close(found, centres[centres.prod(dim=1).argsort()], rtol=0.02, atol=0)


def test_more_clusters_never_fit_worse_here_and_equal_sizes_are_no_trouble():
    sizes = torch.rand(200, 2, generator=seeded_generator(3)) * 100 + 5
    fits = [float(size_iou(sizes, cluster_sizes(sizes, k, seeded_generator(4))).max(dim=1).values.mean())
            for k in (1, 3, 9)]  # fmt: skip
    assert fits[0] < fits[1] < fits[2]
    same = cluster_sizes(torch.full((5, 2), 7.0), 3, seeded_generator(5))
    torch.testing.assert_close(same, torch.full((3, 2), 7.0))


def test_too_few_boxes():
    with pytest.raises(ValueError, match="2 boxes are too few for 3"):
        cluster_sizes(torch.ones(2, 2), 3, seeded_generator(0))
