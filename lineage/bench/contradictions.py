"""Where the papers and the project's documents disagree, about a figure or about a rule, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contradiction:
    """Two sources that cannot both be read at face value."""

    subject: str
    claims: str  # who says what
    why: str
    figure: bool  # about a figure of the report's tables (then the terminal prints it too), or about a rule
    generations: tuple[str, ...]  # whom it concerns


CONTRADICTIONS: tuple[Contradiction, ...] = (
    Contradiction(
        "R-CNN, time a picture",
        "50 s (D0's table), 47 s (D0, D1, D2, D3), 32.84 s (D2's table), 13 s (R-CNN paper)",
        "50 has proposals in it, 47 not; of 32.84 neither is said, nor the machine; 13 is AlexNet's, with proposals",
        True,
        ("rcnn",),
    ),
    Contradiction(
        "Fast R-CNN, time a picture",
        "0.3 s (D2), 0.32 s (D0), 1.72 s (D2's table), 1.83 s (Faster R-CNN paper), 2 s (D0's table)",
        "0.3 is 0.32 rounded, without proposals; the others include selective search (1.72: not said)",
        True,
        ("fast_rcnn",),
    ),
    Contradiction(
        "Faster R-CNN, time a picture",
        "0.2 s (D0, D2), 2.24 s or 0.4 FPS (D2's table), 7 FPS (D2 on SSD)",
        "0.2 is VGG16 on a K40; 2.24 a ResNet; on what machine 7 FPS is not said",
        True,
        ("faster_rcnn",),
    ),
    Contradiction(
        "Faster R-CNN, mAP on VOC07",
        "66.9 (D0's table), 69.9 (paper), 83.8 (D2's table)",
        "66.9 repeats Fast R-CNN's figure; 69.9 is VGG16 on 07; 83.8 a ResNet on more data",
        True,
        ("faster_rcnn",),
    ),
    Contradiction(
        "Fast R-CNN, training set of 66.9",
        "VOC07 (paper, table 1), VOC07+12 (D2's table)",
        "the paper's 07+12 figure is 70.0; D2's table pairs the 07 figure with the wrong set",
        True,
        ("fast_rcnn",),
    ),
    Contradiction(
        "Fast R-CNN, training",
        'training time "increased by 8.8x" (D0), 84 h to 9.5 h (paper, table 4)',
        "a slip of the pen: it became 8.8 times quicker",
        True,
        ("fast_rcnn",),
    ),
    Contradiction(
        "SPP-net, speed-up without proposals",
        "20x (Fast R-CNN paper), 24x to 102x (SPP-net paper)",
        "VGG16 at five scales against ZF-5 at five or one, and another R-CNN as the yardstick",
        True,
        ("sppnet",),
    ),
    Contradiction(
        "Speed-ups of 25x and 146x for the same Fast R-CNN",
        "25x (D0's table), 146x (D0's text, Fast R-CNN paper)",
        "25 counts two seconds of selective search on both sides, 146 on neither",
        True,
        ("fast_rcnn",),
    ),
    Contradiction(
        "A positive anchor's overlap",
        "IoU >= 0.7 or the best (D0, D3, D4, paper), IoU > 0.5 (D1)",
        "D1 simplifies; the PAPER recipe follows the paper, QUICK takes 0.5 for its short training",
        False,
        ("faster_rcnn",),
    ),
    Contradiction(
        "Number of anchors",
        "about 20k (D0), WHk with WH about 2400 (D3)",
        "the same: 40 x 60 x 9 = 21600, of which some 6000 stay inside the picture",
        False,
        ("faster_rcnn",),
    ),
    Contradiction(
        "Bins of the spatial pyramid",
        "21 (D0: 4x4, 2x2, 1x1), 50 (SPP-net paper, detection: 6x6, 3x3, 2x2, 1x1)",
        "D0 teaches spatial pyramid matching's three levels; this package takes both by argument",
        False,
        ("sppnet",),
    ),
    Contradiction(
        "A region smaller than its pooling grid",
        "repeat each cell, then pool (D1), round the bins' edges so that they overlap (paper, Caffe)",
        "two descriptions of one result, cell for cell; this package rounds",
        False,
        ("fast_rcnn", "faster_rcnn"),
    ),
    Contradiction(
        "A positive example of R-CNN's SVMs",
        "IoU >= 0.5 with ground truth, the rest negative (D1), ground truth only, negative below 0.3 (paper)",
        "D1 gives the fine-tuning rule; the paper's appendix B says why the two differ",
        False,
        ("rcnn",),
    ),
    Contradiction(
        "What R-CNN's box regressors read",
        "the CNN's last vector, 4096 numbers (D2), pool5 (paper, appendix C)",
        "this package follows the paper",
        False,
        ("rcnn",),
    ),
    Contradiction(
        "The loss called L1",
        'mean squared error "is also known as L1" (D2), absolute error is L1 (D2, its next bullet)',
        "squared error is L2; R-CNN's ridge regressors use it, Fast R-CNN's smooth L1 mixes the two",
        False,
        ("rcnn", "fast_rcnn", "faster_rcnn"),
    ),
)


def contradictions(generations: list[str], figures_only: bool = False) -> list[Contradiction]:
    """What the sources disagree about, of these generations."""
    return [
        c
        for c in CONTRADICTIONS
        if (c.figure or not figures_only) and any(name in c.generations for name in generations)
    ]
