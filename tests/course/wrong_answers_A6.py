"""Typical wrong answers to A6: exercise, mistake, code, tests that must fail. And right ones that look different."""

from wrong_answers_A1 import changed

BASE = """
def base_anchors(base_size=16, ratios=(0.5, 1.0, 2.0), scales=(8, 16, 32)):
    middle = (base_size - 1) / 2
    rows = []
    for r in ratios:
        w = round((base_size**2 / r) ** 0.5)
        h = round(w * r)
        for s in scales:
            rows.append([middle - (w * s - 1) / 2, middle - (h * s - 1) / 2,
                         middle + (w * s - 1) / 2, middle + (h * s - 1) / 2])
    return torch.tensor(rows, dtype=torch.float32)
"""
GRID = """
def grid_anchors(base, map_size, stride):
    rows, columns = map_size
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    shift = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4) * stride
    return (shift + base).reshape(-1, 4)
"""
TARGETS = """
def rpn_targets(anchors, truth, size, settings):
    height, width = size
    kind = torch.full((len(anchors),), -1, dtype=torch.int8)
    offsets = torch.zeros_like(anchors)
    fits = (anchors[:, :2] >= 0).all(1) & (anchors[:, 2] <= width) & (anchors[:, 3] <= height)
    inside = torch.where(fits)[0]
    if len(truth) == 0:
        kind[inside] = 0
        return kind, offsets
    iou = box_iou(anchors[inside], truth)
    most, which = iou.max(dim=1)
    label = torch.full((len(inside),), -1, dtype=torch.int8)
    label[most < settings.background_iou[1]] = 0
    label[most >= settings.foreground_iou] = 1
    best = iou.max(dim=0).values
    label[((iou == best) & (best > 0)).any(dim=1)] = 1
    kind[inside] = label
    rows = inside[label == 1]
    offsets[rows] = encode_boxes(truth[which[label == 1]], anchors[rows])
    return kind, offsets
"""
SAMPLE = """
def sample_balanced(kind, size, foreground_fraction, generator):
    positive = (kind == 1).nonzero()[:, 0]
    negative = (kind == 0).nonzero()[:, 0]
    positive = positive[torch.randperm(len(positive), generator=generator)]
    positive = positive[: round(size * foreground_fraction)]
    negative = negative[torch.randperm(len(negative), generator=generator)]
    negative = negative[: size - len(positive)]
    return positive, negative
"""
LOSS = """
import torch.nn.functional as F
def rpn_loss(scores, offsets, kind, targets, locations, settings, generator):
    positive, negative = sample_balanced(
        kind, settings.anchors_per_image, settings.foreground_fraction, generator)
    chosen = torch.cat([positive, negative])
    labels = torch.cat([torch.ones_like(positive), torch.zeros_like(negative)])
    classification = F.cross_entropy(scores[chosen], labels, reduction="sum")
    regression = F.smooth_l1_loss(
        offsets[positive], targets[positive], reduction="sum", beta=settings.smooth_l1_beta)
    return {
        "objectness": classification / settings.anchors_per_image,
        "rpn_regression": settings.regression_weight * regression / locations,
    }
"""
PROPOSALS = """
def select_proposals(scores, offsets, anchors, size, settings, *, training=False):
    before = settings.before_nms_train if training else settings.before_nms_test
    after = settings.after_nms_train if training else settings.after_nms_test
    objectness = scores.softmax(dim=1)[:, 1]
    objectness, order = objectness.topk(min(before, len(objectness)))
    boxes = decode_boxes(offsets[order], anchors[order])
    high, wide = size
    boxes = torch.stack([boxes[:, 0].clamp(0, wide), boxes[:, 1].clamp(0, high),
                         boxes[:, 2].clamp(0, wide), boxes[:, 3].clamp(0, high)], dim=1)
    sides = boxes[:, 2:] - boxes[:, :2]
    large = (sides >= settings.min_size).all(dim=1)
    boxes, objectness = boxes[large], objectness[large]
    kept = nms(boxes, objectness, settings.nms_iou)[:after]
    return boxes[kept], objectness[kept]
"""
DROP = """    sides = boxes[:, 2:] - boxes[:, :2]
    large = (sides >= settings.min_size).all(dim=1)
    boxes, objectness = boxes[large], objectness[large]
"""
CLIP = """    boxes = torch.stack([boxes[:, 0].clamp(0, wide), boxes[:, 1].clamp(0, high),
                         boxes[:, 2].clamp(0, wide), boxes[:, 3].clamp(0, high)], dim=1)
"""
BEST = "    label[((iou == best) & (best > 0)).any(dim=1)] = 1\n"

WRONG = [
    ("base", "ratio taken as width / height", changed(BASE, "in ratios:", "in [1 / r for r in ratios]:"),
        {"base-shown"}),
    ("base", "nothing rounded", changed(changed(BASE, "round((base_size**2 / r) ** 0.5)", "(base_size**2 / r) ** 0.5"),
        "round(w * r)", "w * r"), {"base-shown"}),
    ("base", "rounded down", changed(BASE, "round((base_size**2 / r) ** 0.5)", "int((base_size**2 / r) ** 0.5)"),
        {"base-shown"}),
    ("base", "rounded after the scale, not before", """
def base_anchors(base_size=16, ratios=(0.5, 1.0, 2.0), scales=(8, 16, 32)):
    c, rows = (base_size - 1) / 2, []
    for r in ratios:
        for s in scales:
            w = round((base_size**2 / r) ** 0.5 * s)
            h = round(w * r)
            rows.append([c - (w - 1) / 2, c - (h - 1) / 2, c + (w - 1) / 2, c + (h - 1) / 2])
    return torch.tensor(rows)
""", {"base-shown"}),
    ("base", "height from the width before rounding",
        changed(BASE, "h = round(w * r)", "h = round((base_size**2 * r) ** 0.5)"), {"base-any"}),
    ("base", "exclusive edges", changed(BASE, "    return torch.tensor(rows, dtype=torch.float32)",
        "    return torch.tensor(rows) + torch.tensor([0, 0, 1, 1])"), {"base-shown"}),
    ("base", "the centre half a pixel off", changed(BASE, "(base_size - 1) / 2", "base_size / 2"), {"base-shown"}),
    ("base", "the centre whole", changed(BASE, "(base_size - 1) / 2", "7.5"), {"base-any"}),
    ("base", "all ratios of the first scale first",
        changed(BASE, "torch.tensor(rows, dtype=torch.float32)",
            "torch.tensor(rows).reshape(len(ratios), len(scales), 4).transpose(0, 1).reshape(-1, 4)"), {"base-order"}),
    ("base", "width times ratio, the area not kept", changed(BASE, "round((base_size**2 / r) ** 0.5)", "base_size"),
        {"base-shown"}),
    ("base", "x and y swapped", changed(BASE, "torch.tensor(rows, dtype=torch.float32)",
        "torch.tensor(rows)[:, [1, 0, 3, 2]]"), {"base-shown"}),
    ("base", "edges rounded", changed(BASE, "torch.tensor(rows, dtype=torch.float32)", "torch.tensor(rows).round()"),
        {"base-any"}),
    ("base", "always the nine", changed(BASE, "middle =", "base_size, ratios, scales = 16, (0.5, 1, 2), (8, 16, 32)\n"
        "    middle ="), {"base-any"}),
    ("grid", "x and y swapped", changed(GRID, "[x, y, x, y]", "[y, x, y, x]"), {"grid-shown", "grid-any"}),
    ("grid", "column after column", changed(GRID, "    shift =", "    x, y = x.T, y.T\n    shift ="),
        {"grid-shown", "grid-any"}),
    ("grid", "map_size taken as (columns, rows)", changed(GRID, "rows, columns =", "columns, rows ="), {"grid-any"}),
    ("grid", "all cells of the first anchor first", changed(GRID, "(shift + base).reshape(-1, 4)",
        "(shift + base).transpose(0, 1).reshape(-1, 4)"), {"grid-shown", "grid-any"}),
    ("grid", "no stride", changed(GRID, " * stride", ""), {"grid-shown"}),
    ("grid", "moved to the middle of the cell", changed(GRID, "* stride", "* stride + stride / 2"), {"grid-shown"}),
    ("grid", "only the first corner moves", changed(GRID, "[x, y, x, y]", "[x, y, 0 * x, 0 * y]"), {"grid-shown"}),
    ("grid", "stride 16 always", changed(GRID, "* stride", "* 16"), {"grid-any"}),
    ("grid", "one map too long", changed(GRID, "(shift + base).reshape(-1, 4)", "(shift + base)"), {"grid-shown"}),
    ("grid", "base changes", """
def grid_anchors(base, map_size, stride):
    out = []
    for i in range(map_size[0]):
        for j in range(map_size[1]):
            out.append(base.clone())
            base += torch.tensor([stride, 0, stride, 0])
        base += torch.tensor([-stride * map_size[1], stride] * 2)
    return torch.cat(out)
""", {"grid-any"}),
    ("targets", "no best-anchor rule", changed(TARGETS, BEST, ""), {"targets-best"}),
    ("targets", "best anchor first, then overwritten by the negatives", changed(changed(TARGETS, BEST, ""),
        "    label[most < settings", "    claimed = ((iou == iou.max(dim=0).values) & (iou > 0)).any(dim=1)\n"
        "    label[claimed] = 1\n    label[most < settings"), {"targets-best"}),
    ("targets", "one best anchor of several", changed(TARGETS, BEST,
        "    label[iou.argmax(dim=0)[best > 0]] = 1\n"), {"targets-best"}),
    ("targets", "an object that nobody touches makes all positive", changed(TARGETS, " & (best > 0)", ""),
        {"targets-best"}),
    ("targets", "an object that nobody touches makes the first positive", changed(TARGETS, BEST,
        BEST + "    label[iou.argmax(dim=0)] = 1\n"), {"targets-best"}),
    ("targets", "one best anchor of the whole picture", changed(TARGETS, "iou.max(dim=0).values", "iou.max()"),
        {"targets-best"}),
    ("targets", "best sought among all, then the border dropped", changed(TARGETS, "best = iou.max(dim=0).values",
        "best = box_iou(anchors, truth).max(dim=0).values"), {"targets-best"}),
    ("targets", "anchors over the border are kept", changed(TARGETS, "torch.where(fits)[0]",
        "torch.arange(len(anchors))"), {"targets-shown", "targets-border"}),
    ("targets", "anchors over the border are negative", changed(TARGETS, "torch.full((len(anchors),), -1, ",
        "torch.full((len(anchors),), 0, "), {"targets-shown", "targets-border"}),
    ("targets", "an edge on the border is outside", changed(TARGETS, "anchors[:, 2] <= width", "anchors[:, 2] < width"),
        {"targets-border"}),
    ("targets", "height and width swapped", changed(TARGETS, "height, width = size", "width, height = size"),
        {"targets-border"}),
    ("targets", "only left and top looked at",
        changed(TARGETS, " & (anchors[:, 2] <= width) & (anchors[:, 3] <= height)", ""), {"targets-border"}),
    ("targets", "nothing is ignored", changed(TARGETS, "< settings.background_iou[1]", "< settings.foreground_iou"),
        {"targets-shown", "targets-edges"}),
    ("targets", "thresholds written down", changed(changed(TARGETS, "settings.background_iou[1]", "0.3"),
        "settings.foreground_iou", "0.7"), {"targets-edges"}),
    ("targets", "more than the threshold", changed(TARGETS, ">= settings.foreground_iou", "> settings.foreground_iou"),
        {"targets-edges"}),
    ("targets", "at the lower threshold negative", changed(TARGETS, "< settings.background_iou[1]",
        "<= settings.background_iou[1]"), {"targets-edges"}),
    ("targets", "negative if below for some object", changed(TARGETS, "label[most <", "label[iou.min(dim=1).values <"),
        {"targets-edges"}),
    ("targets", "0 ignored and -1 negative", changed(TARGETS, "    return kind, offsets\n",
        "    return torch.where(kind < 1, -1 - kind, kind), offsets\n"), {"targets-shown", "targets-border"}),
    ("targets", "offsets the wrong way", changed(TARGETS, "encode_boxes(truth[which[label == 1]], anchors[rows])",
        "encode_boxes(anchors[rows], truth[which[label == 1]])"), {"targets-shown", "targets-offsets"}),
    ("targets", "offsets to the first object whose best it is", changed(TARGETS, "    rows =",
        "    for g in reversed(range(len(truth))):\n        if best[g] > 0:\n"
        "            which[iou[:, g] == best[g]] = g\n    rows ="), {"targets-offsets"}),
    ("targets", "offsets to the object whose best it is", changed(TARGETS, "    rows =",
        "    for g in range(len(truth)):\n        if best[g] > 0:\n"
        "            which[iou[:, g] == best[g]] = g\n    rows ="), {"targets-offsets"}),
    ("targets", "offsets for all inside", changed(changed(TARGETS, "rows = inside[label == 1]", "rows = inside"),
        "which[label == 1]", "which"), {"targets-shown"}),
    ("targets", "offsets to the first object", changed(TARGETS, "which[label == 1]", "which[label == 1] * 0"),
        {"targets-offsets"}),
    ("targets", "boxes in place of offsets", changed(TARGETS, "encode_boxes(truth[which[label == 1]], anchors[rows])",
        "truth[which[label == 1]]"), {"targets-shown", "targets-offsets"}),
    ("targets", "crashes without objects", changed(TARGETS, "if len(truth) == 0:", "if False:"), {"targets-border"}),
    ("targets", "without objects all negative", changed(TARGETS, "kind[inside] = 0\n        return",
        "kind[:] = 0\n        return"), {"targets-border"}),
    ("targets", "anchors clipped in place", changed(TARGETS, "    kind =",
        "    torch.minimum(anchors.clamp_(min=0), torch.tensor([19.0]), out=anchors)\n    kind ="),
        {"targets-shown", "targets-offsets"}),
    ("sample", "ignored ones are negative", changed(SAMPLE, "kind == 0", "kind <= 0"), {"sample-shown"}),
    ("sample", "all positives", changed(SAMPLE, "[: round(size * foreground_fraction)]", "[:size]"), {"sample-shown"}),
    ("sample", "as many negatives as positives", changed(SAMPLE, "[: size - len(positive)]", "[: len(positive)]"),
        {"sample-shown"}),
    ("sample", "always half of each", changed(SAMPLE, "[: size - len(positive)]",
        "[: size - round(size * foreground_fraction)]"), {"sample-shown"}),
    ("sample", "positives fill in, too", changed(SAMPLE, "[: round(size * foreground_fraction)]",
        "[: max(round(size * foreground_fraction), size - len(negative))]"), {"sample-edges"}),
    ("sample", "the share is of the minibatch that there is", changed(SAMPLE, "round(size * foreground_fraction)",
        "round(min(size, len(positive) + len(negative)) * foreground_fraction)"), {"sample-edges"}),
    ("sample", "the share written down", changed(SAMPLE, "round(size * foreground_fraction)", "size // 2"),
        {"sample-edges"}),
    ("sample", "always the first", changed(SAMPLE, "torch.randperm(len(positive), generator=generator)",
        "torch.arange(len(positive))"), {"sample-edges"}),
    ("sample", "negatives always the first", changed(SAMPLE, "torch.randperm(len(negative), generator=generator)",
        "torch.arange(len(negative))"), {"sample-edges"}),
    ("sample", "drawn with repetition", changed(SAMPLE, "torch.randperm(len(negative), generator=generator)",
        "torch.randint(len(negative), (len(negative),), generator=generator)"), {"sample-shown"}),
    ("sample", "places in the list instead of rows", changed(SAMPLE, "negative = negative[torch.randperm("
        "len(negative), generator=generator)]", "negative = torch.randperm(len(negative), generator=generator)"),
        {"sample-shown"}),
    ("sample", "crashes without positives", changed(SAMPLE, "    return", "    int(positive[0])\n    return"),
        {"sample-shown"}),
    ("sample", "no row becomes a float", changed(SAMPLE, "return positive, negative",
        "return torch.tensor(positive.tolist()), torch.tensor(negative.tolist())"), {"sample-shown"}),
    ("sample", "masks instead of rows", changed(SAMPLE, "    return positive, negative",
        "    masks = torch.zeros(2, len(kind), dtype=torch.bool)\n    masks[0, positive] = masks[1, negative] = True\n"
        "    return masks"), {"sample-shown"}),
    ("sample", "negatives and positives swapped", changed(SAMPLE, "return positive, negative",
        "return negative, positive"), {"sample-shown"}),
    ("loss", "averaged over the minibatch that there is", changed(LOSS, "/ settings.anchors_per_image",
        "/ max(1, len(chosen))"), {"loss-shown", "loss-sample"}),
    ("loss", "N_cls written down", changed(LOSS, "/ settings.anchors_per_image", "/ 256"), {"loss-sample"}),
    ("loss", "regression averaged over the positives", changed(LOSS, "/ locations", "/ max(1, len(positive))"),
        {"loss-shown", "loss-sample"}),
    ("loss", "N_reg the anchors", changed(LOSS, "/ locations", "/ len(scores)"), {"loss-shown"}),
    ("loss", "lambda forgotten", changed(LOSS, "settings.regression_weight * ", ""), {"loss-shown"}),
    ("loss", "lambda written down", changed(LOSS, "settings.regression_weight *", "10 *"), {"loss-sample"}),
    ("loss", "the columns swapped", changed(LOSS, "scores[chosen]", "scores[chosen].flip(1)"), {"loss-shown"}),
    ("loss", "classes of all anchors", changed(LOSS, "scores[chosen], labels",
        "scores[kind >= 0], kind[kind >= 0].long()"), {"loss-sample"}),
    ("loss", "ignored anchors are negative", changed(LOSS, "scores[chosen], labels", "scores, (kind == 1).long()"),
        {"loss-shown"}),
    ("loss", "boxes of all positives", changed(LOSS, "offsets[positive], targets[positive]",
        "offsets[kind == 1], targets[kind == 1]"), {"loss-sample"}),
    ("loss", "boxes of negatives, too", changed(LOSS, "offsets[positive], targets[positive]",
        "offsets[chosen], targets[chosen]"), {"loss-shown"}),
    ("loss", "mean over the four offsets", changed(LOSS, "* regression /", "* regression / 4 /"), {"loss-shown"}),
    ("loss", "beta left at 1", changed(LOSS, ", beta=settings.smooth_l1_beta", ""), {"loss-edges"}),
    ("loss", "squared error", changed(LOSS, "regression = F.smooth_l1_loss(\n        offsets[positive], "
        "targets[positive], reduction=\"sum\", beta=settings.smooth_l1_beta)",
        "regression = 0.5 * ((offsets[positive] - targets[positive]) ** 2).sum()"), {"loss-shown"}),
    ("loss", "Huber's loss, not divided by beta", changed(changed(LOSS, "F.smooth_l1_loss", "F.huber_loss"),
        "beta=", "delta="), {"loss-edges"}),
    ("loss", "absolute value forgotten", changed(LOSS, "regression = F.smooth_l1_loss(\n        offsets[positive], "
        "targets[positive], reduction=\"sum\", beta=settings.smooth_l1_beta)", """
    d = offsets[positive] - targets[positive]
    b = settings.smooth_l1_beta
    regression = torch.where(d < b, d * d / (2 * b), d - b / 2).sum()"""), {"loss-edges", "loss-gradient"}),
    ("loss", "nan without positives", changed(LOSS, "reduction=\"sum\", beta=settings.smooth_l1_beta)",
        "reduction=\"mean\", beta=settings.smooth_l1_beta) * 4 * len(positive)"), {"loss-edges"}),
    ("loss", "no gradient to the offsets", changed(LOSS, "offsets[positive], targets", "offsets.detach()[positive], "
        "targets"), {"loss-gradient"}),
    ("loss", "numbers instead of tensors", changed(LOSS, "classification / settings", "classification.item() / settings"
        ), {"loss-gradient"}),
    ("loss", "softmax twice", changed(LOSS, "scores[chosen]", "scores[chosen].softmax(1)"), {"loss-shown"}),
    ("loss", "sum instead of two losses", changed(LOSS, "\"objectness\": classification / settings.anchors_per_image",
        "\"objectness\": classification / settings.anchors_per_image + regression"), {"loss-shown"}),
    ("proposals", "height and width swapped", changed(PROPOSALS, "high, wide = size", "wide, high = size"),
        {"proposals-shown", "proposals-any"}),
    ("proposals", "no clipping", changed(PROPOSALS, CLIP, ""), {"proposals-shown"}),
    ("proposals", "clipped at 0 only", changed(changed(PROPOSALS, "clamp(0, wide)", "clamp(min=0)"),
        "clamp(0, high)", "clamp(min=0)"), {"proposals-shown", "proposals-any"}),
    ("proposals", "boxes over the border dropped", changed(PROPOSALS, CLIP,
        "    fits = (boxes >= 0).all(1) & (boxes[:, 2] <= wide) & (boxes[:, 3] <= high)\n"
        "    boxes, objectness = boxes[fits], objectness[fits]\n"), {"proposals-shown"}),
    ("proposals", "small ones kept", changed(PROPOSALS, DROP, ""), {"proposals-shown", "proposals-small"}),
    ("proposals", "small ones dropped before clipping",
        changed(changed(PROPOSALS, DROP, ""), "    high, wide", DROP + "    high, wide"), {"proposals-small"}),
    ("proposals", "small ones dropped before the best are taken", changed(PROPOSALS,
        "    objectness, order", "    boxes = decode_boxes(offsets, anchors)\n"
        "    fits = ((boxes[:, 2:] - boxes[:, :2]) >= settings.min_size).all(dim=1)\n"
        "    objectness, offsets, anchors = objectness[fits], offsets[fits], anchors[fits]\n"
        "    objectness, order"), {"proposals-counts"}),
    ("proposals", "exactly the smallest size dropped", changed(PROPOSALS, ">= settings.min_size",
        "> settings.min_size"), {"proposals-small"}),
    ("proposals", "small in both sides only", changed(PROPOSALS, ".all(dim=1)\n    boxes, obj",
        ".any(dim=1)\n    boxes, obj"), {"proposals-shown", "proposals-small"}),
    ("proposals", "min_size written down", changed(PROPOSALS, "settings.min_size", "16"), {"proposals-small"}),
    ("proposals", "the wrong score", changed(PROPOSALS, "[:, 1]\n", "[:, 0]\n"), {"proposals-shown"}),
    ("proposals", "the raw score", changed(PROPOSALS, "scores.softmax(dim=1)[:, 1]", "scores[:, 1]"),
        {"proposals-shown", "proposals-any"}),
    ("proposals", "the sigmoid of one score", changed(PROPOSALS, "scores.softmax(dim=1)[:, 1]",
        "scores[:, 1].sigmoid()"), {"proposals-any"}),
    ("proposals", "softmax over the anchors", changed(PROPOSALS, "softmax(dim=1)", "softmax(dim=0)"),
        {"proposals-shown"}),
    ("proposals", "not decoded", changed(PROPOSALS, "decode_boxes(offsets[order], anchors[order])", "anchors[order]"),
        {"proposals-shown", "proposals-any"}),
    ("proposals", "offsets not in the anchors' order", changed(PROPOSALS, "offsets[order], anchors[order]",
        "offsets[: len(order)], anchors[order]"), {"proposals-shown", "proposals-any"}),
    ("proposals", "no suppression", changed(PROPOSALS, "nms(boxes, objectness, settings.nms_iou)[:after]",
        "torch.arange(len(boxes))[:after]"), {"proposals-shown", "proposals-counts"}),
    ("proposals", "nms_iou written down", changed(PROPOSALS, "settings.nms_iou", "0.7"), {"proposals-any"}),
    ("proposals", "the best before NMS only", changed(PROPOSALS, "[:after]", ""), {"proposals-counts"}),
    ("proposals", "the best after NMS only", changed(PROPOSALS, "min(before, len(objectness))", "len(objectness)"),
        {"proposals-counts"}),
    ("proposals", "both counts before NMS", changed(changed(PROPOSALS, "[:after]", ""), "    kept =",
        "    boxes, objectness = boxes[:after], objectness[:after]\n    kept ="), {"proposals-counts"}),
    ("proposals", "crashes with few anchors", changed(PROPOSALS, "min(before, len(objectness))", "before"),
        {"proposals-shown"}),
    ("proposals", "training's counts forgotten", changed(PROPOSALS, "    before =",
        "    training = False\n    before ="),
        {"proposals-counts"}),
    ("proposals", "training and test swapped", changed(PROPOSALS, "    before =",
        "    training = not training\n    before ="), {"proposals-counts"}),
    ("proposals", "not in the order of the scores", changed(PROPOSALS, "    return boxes[kept]",
        "    kept = kept.sort().values.flip(0)\n    return boxes[kept]"), {"proposals-shown"}),
    ("proposals", "the offsets change", changed(PROPOSALS, "    before =", "    offsets[:, 2:].clamp_(max=0.2)\n"
        "    before ="), {"proposals-any"}),
]  # fmt: skip

RIGHT = [
    ("base", "the same, written otherwise", BASE),
    ("base", "in double precision, with NumPy, one row after the other", """
import numpy as np
def base_anchors(base_size=16, ratios=(0.5, 1.0, 2.0), scales=(8, 16, 32)):
    ratios = np.asarray(ratios, dtype=float)
    widths = np.rint(np.sqrt(base_size * base_size / ratios))
    heights = np.rint(widths * ratios)
    w = (widths[:, None] * np.asarray(scales)).ravel()
    h = (heights[:, None] * np.asarray(scales)).ravel()
    c = 0.5 * (base_size - 1)
    return torch.from_numpy(np.stack([c - (w - 1) / 2, c - (h - 1) / 2, c + (w - 1) / 2, c + (h - 1) / 2], axis=1))
"""),
    ("grid", "meshgrid", GRID),
    ("grid", "loops, in double precision", """
def grid_anchors(base, map_size, stride):
    rows = []
    for i in range(map_size[0]):
        for j in range(map_size[1]):
            for x1, y1, x2, y2 in base.tolist():
                rows.append([x1 + stride * j, y1 + stride * i, x2 + stride * j, y2 + stride * i])
    return torch.tensor(rows, dtype=torch.float64)
"""),
    ("targets", "the inside anchors first", TARGETS),
    ("targets", "loops, in double precision", """
def rpn_targets(anchors, truth, size, settings):
    h, w = size
    kind, offsets = [], torch.zeros(len(anchors), 4, dtype=torch.float64)
    iou = box_iou(anchors.double(), truth.double()).tolist()
    inside = [a for a, (x1, y1, x2, y2) in enumerate(anchors.tolist()) if x1 >= 0 and y1 >= 0 and x2 <= w and y2 <= h]
    for a in range(len(anchors)):
        if a not in inside:
            kind.append(-1)
            continue
        best = False
        for g in range(len(truth)):
            if iou[a][g] > 0 and iou[a][g] == max(iou[b][g] for b in inside):
                best = True
        most = max(iou[a], default=0.0)
        if best or most >= settings.foreground_iou:
            kind.append(1)
            g = iou[a].index(most)
            offsets[a] = encode_boxes(truth[g : g + 1].double(), anchors[a : a + 1].double())[0]
        elif most < settings.background_iou[1]:
            kind.append(0)
        else:
            kind.append(-1)
    return torch.tensor(kind), offsets
"""),
    ("targets", "the package's matching", """
from lineage.common.matching import match_boxes
def rpn_targets(anchors, truth, size, settings):
    edges = torch.tensor([0.0, 0.0, -size[1], -size[0]])
    outside = ((anchors + edges) * torch.tensor([1, 1, -1, -1]) < 0).any(dim=1)
    inside = torch.where(~outside)[0]
    kind = torch.full((len(anchors),), -1)
    found = match_boxes(anchors[inside], truth, foreground=settings.foreground_iou,
        background=settings.background_iou, force_best=True)
    kind[inside] = found.kind.long()
    offsets = torch.zeros_like(anchors)
    for row, label, which in zip(inside, found.kind, found.truth):
        if label == 1:
            offsets[row] = encode_boxes(truth[which][None], anchors[row][None])[0]
    return kind, offsets
"""),
    ("sample", "nonzero", SAMPLE),
    ("sample", "Python's random", """
import random
def sample_balanced(kind, size, foreground_fraction, generator):
    chance = random.Random(int(torch.randint(2**31, (1,), generator=generator)))
    positive = [row for row, k in enumerate(kind.tolist()) if k == 1]
    negative = [row for row, k in enumerate(kind.tolist()) if k == 0]
    positive = chance.sample(positive, min(len(positive), int(size * foreground_fraction)))
    negative = chance.sample(negative, min(len(negative), size - len(positive)))
    return torch.tensor(sorted(positive)).long(), torch.tensor(sorted(negative)).long()
"""),
    ("sample", "the best of random numbers", """
def sample_balanced(kind, size, foreground_fraction, generator):
    order = torch.rand(len(kind), generator=generator).argsort()
    positive = order[kind[order] == 1][: int(size * foreground_fraction)]
    return positive, order[kind[order] == 0][: size - len(positive)]
"""),
    ("loss", "cross entropy and smooth L1 of PyTorch", LOSS),
    ("loss", "binary cross entropy on the difference", changed(LOSS,
        "F.cross_entropy(scores[chosen], labels, reduction=\"sum\")",
        "F.binary_cross_entropy_with_logits(\n        (scores[:, 1] - scores[:, 0])[chosen], labels.float(), "
        "reduction=\"sum\")")),
    ("loss", "loops, in double precision", """
def rpn_loss(scores, offsets, kind, targets, locations, settings, generator):
    positive, negative = sample_balanced(kind, settings.anchors_per_image, settings.foreground_fraction, generator)
    first = second = scores.double().sum() * 0
    for rows, column in ((positive, 1), (negative, 0)):
        for row in rows.tolist():
            first = first - torch.log(scores[row].double().softmax(0)[column])
    for row in positive.tolist():
        for d in (offsets[row] - targets[row]).double():
            b = settings.smooth_l1_beta
            second = second + (d * d / 2 / b if abs(d) < b else abs(d) - b / 2)
    return {"objectness": first / settings.anchors_per_image,
            "rpn_regression": second * settings.regression_weight / locations}
"""),
    ("proposals", "topk, all sides at once", PROPOSALS),
    ("proposals", "the difference of the scores, sigmoid at the end", changed(changed(PROPOSALS,
        "scores.softmax(dim=1)[:, 1]", "scores[:, 1] - scores[:, 0]"), "objectness[kept]\n",
        "objectness[kept].sigmoid()\n")),
    ("proposals", "loops, in double precision", """
def select_proposals(scores, offsets, anchors, size, settings, *, training=False):
    which = "train" if training else "test"
    before, after = getattr(settings, f"before_nms_{which}"), getattr(settings, f"after_nms_{which}")
    probability = scores.double().softmax(1)[:, 1].tolist()
    boxes, kept = [], []
    for row in sorted(range(len(scores)), key=lambda row: -probability[row])[:before]:
        x1, y1, x2, y2 = decode_boxes(offsets[row].double()[None], anchors[row].double()[None])[0].tolist()
        x1, x2 = (min(max(x, 0), size[1]) for x in (x1, x2))
        y1, y2 = (min(max(y, 0), size[0]) for y in (y1, y2))
        if x2 - x1 >= settings.min_size and y2 - y1 >= settings.min_size:
            boxes.append([x1, y1, x2, y2])
            kept.append(probability[row])
    boxes, kept = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4), torch.tensor(kept, dtype=torch.float64)
    rows = nms(boxes, kept, settings.nms_iou)[:after]
    return boxes[rows], kept[rows]
"""),
]  # fmt: skip
