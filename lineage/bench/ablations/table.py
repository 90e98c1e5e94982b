"""The papers' ablations, variant beside variant: ``python -m lineage.bench --ablation NAME``."""

from __future__ import annotations

from typing import Any

from lineage.bench.ablations.rebuilt import on_pool5, truncated, with_svms, without_regression
from lineage.bench.ablations.variant import Ablation, Change, Variant
from lineage.sppnet.recipe import PAPER as SPPNET_PAPER


def _set(values: dict[str, Any]) -> Change:
    """The same values whatever the recipe."""
    return lambda recipe: values


def _anchors(scales: slice, ratios: slice) -> Change:
    """Some of the recipe's scales and ratios; where it lists anchors one by one, they give way."""
    return lambda r: {"rpn.sizes": (), "rpn.scales": r.rpn.scales[scales], "rpn.ratios": r.rpn.ratios[ratios]}


def _five_scales(recipe: Any) -> dict[str, Any]:
    if recipe.scales == (None,):  # quick: pictures of 240 px and a network that was pre-trained on 64 px crops
        return {"scales": (120, 160, 200, 240, 320), "view": 64}
    if len(recipe.scales) > 1:
        return {}
    (one,) = recipe.scales  # evening's takes the place of the paper's 688
    scales = tuple(round(one * scale / SPPNET_PAPER.scales[2]) for scale in SPPNET_PAPER.scales)
    return {"scales": scales, "longer": round(recipe.longer * scales[-1] / one)}


def _one_scale(recipe: Any) -> dict[str, Any]:
    return {"scales": (recipe.scales[2],)} if len(recipe.scales) > 1 else {}  # the paper's 688


_FAST, _FASTER = "Fast R-CNN paper", "Faster R-CNN paper"
_ALL, _FIRST, _MIDDLE = slice(None), slice(0, 1), slice(1, 2)

ABLATIONS: dict[str, Ablation] = {
    "box-regression": Ablation(
        "What box regression adds",
        "R-CNN paper, table 2 (AlexNet); SPP-net paper, table 9 (ZF-5, one scale)",
        (
            Variant("R-CNN without", "rcnn", 54.2, rebuild=without_regression),
            Variant("R-CNN with", "rcnn", 58.5),
            Variant("SPP-net without", "sppnet", 54.5, train=_one_scale, rebuild=without_regression),
            Variant("SPP-net with", "sppnet", 58.0, train=_one_scale),
        ),
    ),
    "fine-tuning": Ablation(
        "R-CNN: fine-tuned or as pre-trained, and which layer the SVMs read",
        "R-CNN paper, table 2 (AlexNet), without box regression",
        (
            Variant("pool5, as pre-trained", "rcnn", 44.2, train=_set({"finetune.steps": 0}), rebuild=on_pool5),
            Variant("last layer, as pre-trained", "rcnn", 44.7, train=_set({"finetune.steps": 0}),
                    rebuild=without_regression),
            Variant("pool5, fine-tuned", "rcnn", 47.3, rebuild=on_pool5),
            Variant("last layer, fine-tuned", "rcnn", 54.2, rebuild=without_regression),
        ),
        "The paper's fc6 (46.2; fine-tuned 53.1) is left out: not every network has two fully connected layers.",
    ),
    "spp-scales": Ablation(
        "SPP-net: one scale or five",
        "SPP-net paper, table 9 (ZF-5)",
        (
            Variant("1 scale", "sppnet", 58.0, train=_one_scale),
            Variant("5 scales", "sppnet", 59.2, train=_five_scales),
        ),
    ),
    "svm-softmax": Ablation(
        "Fast R-CNN: its softmax, or SVMs trained afterwards on its features",
        f"{_FAST}, table 8 (VGG16)",
        (Variant("SVMs", "fast_rcnn", 66.8, rebuild=with_svms), Variant("softmax", "fast_rcnn", 66.9)),
    ),
    "multi-task": Ablation(
        "Fast R-CNN: does the box loss help the classifier?",
        f"{_FAST}, table 6 (VGG16)",
        (
            Variant(
                "classifier alone", "fast_rcnn", 62.6, train=_set({"regression_weight": 0.0}),
                rebuild=without_regression,
            ),
            Variant("both losses, boxes not moved at test", "fast_rcnn", 63.4, rebuild=without_regression),
            Variant("both losses", "fast_rcnn", 66.9),
        ),
        "The paper's fourth row, the box layer trained in a stage of its own (64.0), is left out.",
    ),
    "trained-layers": Ablation(
        "Fast R-CNN: which convolutions learn",
        f"{_FAST}, table 5 (VGG16: fc6 on, conv3_1 on, conv2_1 on)",
        (
            Variant("fc layers only", "fast_rcnn", 61.4, train=_set({"frozen": 1000})),
            Variant("all but the backbone's first", "fast_rcnn", 66.9),
            Variant("all", "fast_rcnn", 67.2, train=_set({"frozen": 0})),
        ),
    ),
    "proposals": Ablation(
        "Fast R-CNN: how many proposals at test",
        f"{_FAST}, figure 3, is a curve without numbers: it rises and then falls a little",
        tuple(Variant(f"{share:.3g} of them", "fast_rcnn", share=share) for share in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)),
    ),
    "proposers": Ablation(
        "Fast R-CNN, trained on selective search: with whose proposals at test",
        f"{_FASTER}, table 2 (ZF; selective search: 2000 proposals)",
        (
            Variant("selective search", "fast_rcnn", 58.7),
            *(
                Variant(f"RPN, {count}", "fast_rcnn", published, rpn=count)
                for count, published in ((1000, 56.3), (300, 56.8), (100, 55.1))
            ),
        ),
    ),
    "svd": Ablation(
        "Fast R-CNN: truncated SVD of fc6 and fc7",
        f"{_FAST}, section 4.4 (VGG16: 1024 of 4096 and 256 of 4096 singular values)",
        (
            Variant("as trained", "fast_rcnn", 66.9),
            Variant("1/2 and 1/8 of the ranks", "fast_rcnn", rebuild=truncated((1 / 2, 1 / 8))),
            Variant("1/4 and 1/16 of the ranks", "fast_rcnn", 66.6, rebuild=truncated((1 / 4, 1 / 16))),
            Variant("1/16 and 1/32 of the ranks", "fast_rcnn", rebuild=truncated((1 / 16, 1 / 32))),
        ),
    ),
    "sharing": Ablation(
        "Faster R-CNN: convolutions of its own for each network, or shared, and how",
        f"{_FASTER}, table 3 (VGG16); of joint training section 3.2 says 'close results'",
        (
            Variant("unshared", "fast_rcnn", 68.5, unshared=True),
            Variant("shared, 4 steps", "faster_rcnn", 69.9, train=_set({"procedure": "alternating"})),
            Variant("shared, joint", "faster_rcnn", train=_set({"procedure": "joint"})),
        ),
        "The 4 steps take twice the gradient steps of the others: two procedures for each network.",
    ),
    "anchors": Ablation(
        "Faster R-CNN: anchors by scale and ratio",
        f"{_FASTER}, table 8 (VGG16; one scale: 128, 256 pixels)",
        (
            Variant("smallest scale, 1 ratio", "faster_rcnn", 65.8, train=_anchors(_FIRST, _MIDDLE)),
            Variant("middle scale, 1 ratio", "faster_rcnn", 66.7, train=_anchors(_MIDDLE, _MIDDLE)),
            Variant("smallest scale, 3 ratios", "faster_rcnn", 68.8, train=_anchors(_FIRST, _ALL)),
            Variant("middle scale, 3 ratios", "faster_rcnn", 67.9, train=_anchors(_MIDDLE, _ALL)),
            Variant("3 scales, 1 ratio", "faster_rcnn", 69.8, train=_anchors(_ALL, _MIDDLE)),
            Variant("3 scales, 3 ratios", "faster_rcnn", 69.9, train=_anchors(_ALL, _ALL)),
        ),
    ),
    "rpn-proposals": Ablation(
        "Faster R-CNN: how many proposals at test, and how alike",
        f"{_FASTER}, table 2 (ZF, the detector trained on selective search; NMS 0.7; the last without NMS)",
        (
            *(
                Variant(f"{count}", "faster_rcnn", published, test=_set({"rpn.after_nms_test": count}))
                for count, published in ((30, None), (100, 55.1), (300, 56.8), (1000, 56.3))
            ),
            *(
                Variant(f"300, NMS at {iou:g}", "faster_rcnn", test=_set({"rpn.nms_iou": iou}))
                for iou in (0.5, 0.7, 0.9)
            ),
            Variant("all, without NMS", "faster_rcnn", 55.2, test=lambda r: {
                "rpn.nms_iou": 1.0, "rpn.after_nms_test": r.rpn.before_nms_test}),
        ),
    ),
}  # fmt: skip
