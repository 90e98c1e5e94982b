"""AP a class on VOC2007 test, 11 points, as the papers print it."""

from __future__ import annotations

from dataclasses import dataclass

from lineage.data.voc import VOC_CLASSES


@dataclass(frozen=True)
class PublishedAP:
    """One row of a paper's table."""

    generation: str
    network: str
    source: str
    ap: tuple[float, ...]  # %, of VOC's classes in alphabetical order
    map: float  # %, as printed: the mean of ``ap`` but for rounding

    def of_class(self, name: str) -> float | None:
        """A class's AP; None for a class that is none of VOC's."""
        return dict(zip(VOC_CLASSES, self.ap)).get(name)


# The small network's row comes first where one was published: it is the one that a CPU's backbone stands beside.
PUBLISHED_AP = (
    PublishedAP(
        "rcnn", "AlexNet", "R-CNN paper, table 2 (fine-tuned fc7, box regression)",
        (68.1, 72.8, 56.8, 43.0, 36.8, 66.3, 74.2, 67.6, 34.4, 63.5, 54.5, 61.2, 69.1, 68.6, 58.7, 33.4, 62.9, 51.1,
         62.5, 64.8), 58.5,
    ),
    PublishedAP(
        "rcnn", "VGG16", "R-CNN paper, table 3 (box regression)",
        (73.4, 77.0, 63.4, 45.4, 44.6, 75.1, 78.1, 79.8, 40.5, 73.7, 62.2, 79.4, 78.1, 73.1, 64.2, 35.6, 66.8, 67.2,
         70.4, 71.1), 66.0,
    ),
    PublishedAP(
        "sppnet", "ZF-5", "SPP-net paper, table 11 (five scales, box regression)",
        (68.6, 69.7, 57.1, 41.2, 40.5, 66.3, 71.3, 72.5, 34.4, 67.3, 61.7, 63.1, 71.0, 69.8, 57.6, 29.7, 59.0, 50.2,
         65.2, 68.0), 59.2,
    ),
    PublishedAP(
        "sppnet", "VGG16", "Fast R-CNN paper, table 1 (trained without the difficult objects)",
        (73.9, 72.3, 62.5, 51.5, 44.4, 74.4, 73.0, 74.4, 42.3, 73.6, 57.7, 70.3, 74.6, 74.3, 54.2, 34.0, 56.4, 56.4,
         67.9, 73.5), 63.1,
    ),
    PublishedAP(
        "fast_rcnn", "VGG16", "Fast R-CNN paper, table 1",
        (74.5, 78.3, 69.2, 53.2, 36.6, 77.3, 78.2, 82.0, 40.7, 72.7, 67.9, 79.6, 79.2, 73.0, 69.0, 30.1, 65.4, 70.2,
         75.8, 65.8), 66.9,
    ),
    PublishedAP(
        "faster_rcnn", "VGG16", "Faster R-CNN paper, table 6",
        (70.0, 80.6, 70.1, 57.3, 49.9, 78.2, 80.4, 82.0, 52.2, 75.3, 67.2, 80.3, 79.8, 75.0, 76.3, 39.1, 68.3, 67.3,
         81.1, 67.6), 69.9,
    ),
)  # fmt: skip


def published_ap(generation: str) -> PublishedAP | None:
    """The row that stands beside a generation's own AP a class."""
    return next((row for row in PUBLISHED_AP if row.generation == generation), None)
