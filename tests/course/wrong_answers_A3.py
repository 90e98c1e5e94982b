"""Typical wrong answers to A3: exercise, mistake, code, tests that must fail. And right ones that look different."""

from wrong_answers_A1 import changed

CONTEXT = """
def add_context(boxes, size, context):
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    left, top = w * context / (size - 2 * context), h * context / (size - 2 * context)
    return torch.stack([boxes[:, 0] - left, boxes[:, 1] - top, boxes[:, 2] + left, boxes[:, 3] + top], dim=1)
"""
WARP = """
def warp_crops(image, boxes, size, context=0):
    _, height, width = image.shape
    out = torch.zeros(len(boxes), 3, size, size)
    for n, (x1, y1, x2, y2) in enumerate(add_context(boxes, size, context).tolist()):
        for r in range(size):
            for c in range(size):
                u = x1 + (c + 0.5) * (x2 - x1) / size - 0.5
                v = y1 + (r + 0.5) * (y2 - y1) / size - 0.5
                i, j = int(u // 1), int(v // 1)
                for x, p in ((i, 1 - (u - i)), (i + 1, u - i)):
                    for y, q in ((j, 1 - (v - j)), (j + 1, v - j)):
                        if 0 <= x < width and 0 <= y < height:
                            out[n, :, r, c] += p * q * image[:, y, x]
    return out
"""
TUNE = """
def finetune_labels(overlaps, labels):
    found = []
    for row in overlaps.tolist():
        best = max(row, default=0.0)
        found.append(int(labels[row.index(best)]) if row and best >= 0.5 else 0)
    return torch.tensor(found, dtype=torch.int64)
"""
SVM = """
def svm_examples(overlaps, labels, wanted):
    objects = [g for g, label in enumerate(labels.tolist()) if label == wanted]
    far = [r for r in range(len(overlaps)) if all(overlaps[r, g] < 0.3 for g in objects)]
    return torch.tensor(objects, dtype=torch.int64), torch.tensor(far, dtype=torch.int64)
"""
MINE = """
def mine(kept, found, weight, bias, fit, hard_above=-1.0001, evict_below=-1.2):
    scores = (found * weight).sum(dim=1) + bias
    hard = [x for x, score in zip(found, scores) if score > hard_above]
    if len(hard) == 0:
        return kept, weight, bias
    pool = torch.cat([kept, torch.stack(hard)])
    weight, bias = fit(pool)
    stay = pool @ weight + bias >= evict_below
    return pool[stay], weight, bias
"""
ENCODE = """
def encode_boxes(targets, anchors):
    x1, y1, x2, y2 = anchors.unbind(dim=1)
    p1, q1, p2, q2 = targets.unbind(dim=1)
    w, h = x2 - x1, y2 - y1
    tx = ((p1 + p2) / 2 - (x1 + x2) / 2) / w
    ty = ((q1 + q2) / 2 - (y1 + y2) / 2) / h
    tw = torch.log((p2 - p1) / w)
    th = torch.log((q2 - q1) / h)
    return torch.stack([tx, ty, tw, th], dim=1)
"""
DECODE = """
def decode_boxes(offsets, anchors):
    shape = (-1,) + (1,) * (offsets.dim() - 2)
    x1, y1, x2, y2 = (side.reshape(shape) for side in anchors.unbind(dim=1))
    tx, ty, tw, th = offsets.unbind(dim=-1)
    x, y = (x1 + x2) / 2 + tx * (x2 - x1), (y1 + y2) / 2 + ty * (y2 - y1)
    w, h = torch.exp(tw) * (x2 - x1), torch.exp(th) * (y2 - y1)
    return torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], dim=-1)
"""
RIDGE = """
def ridge_regression(features, targets, ridge):
    x, y = features.double(), targets.double()
    x = torch.nn.functional.pad(x, (0, 1), value=1.0)
    mean = y.mean(dim=0)
    gram = x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype)
    w = torch.linalg.inv(gram) @ x.T @ (y - mean)
    return w[:-1], w[-1] + mean
"""

WRONG = [
    ("context", "pixels of the picture",
        changed(CONTEXT, "w * context / (size - 2 * context), h * context / (size - 2 * context)",
        "context, context"), {"context-shown", "context-any"}),
    ("context", "(S + 2 p) / S", changed(CONTEXT, "/ (size - 2 * context)", "/ size"), {"context-shown",
        "context-any"}),
    ("context", "only one side's p", changed(CONTEXT, "(size - 2 * context)", "(size - context)"),
        {"context-shown", "context-any"}),
    ("context", "right and bottom only", changed(CONTEXT, "boxes[:, 0] - left, boxes[:, 1] - top, boxes[:, 2] + left, "
        "boxes[:, 3] + top", "boxes[:, 0], boxes[:, 1], boxes[:, 2] + 2 * left, boxes[:, 3] + 2 * top"),
        {"context-shown", "context-any"}),
    ("context", "the width's frame for the height", changed(CONTEXT, "h * context", "w * context"),
        {"context-shown", "context-any"}),
    ("context", "all four coordinates scaled", changed(CONTEXT, "    return ",
        "    return boxes * size / (size - 2 * context)\n    return "), {"context-shown", "context-any"}),
    ("context", "rounded", changed(CONTEXT, "dim=1)", "dim=1).round()"), {"context-any"}),
    ("context", "cut at the picture's left and top", changed(CONTEXT, "dim=1)", "dim=1).clamp(min=0)"),
        {"context-any"}),
    ("context", "in place", """
def add_context(boxes, size, context):
    frame = (boxes[:, 2:] - boxes[:, :2]) * context / (size - 2 * context)
    boxes[:, :2] -= frame
    boxes[:, 2:] += frame
    return boxes
""", {"context-any"}),
    ("warp", "corners in place of centres", changed(changed(WARP, "(c + 0.5)", "c"), "(r + 0.5)", "r").replace(
        " - 0.5\n", "\n"), {"warp-shown", "warp-any"}),
    ("warp", "the picture's half pixel forgotten", changed(WARP, "/ size - 0.5", "/ size"), {"warp-shown", "warp-any"}),
    ("warp", "the crop's half pixel forgotten", changed(changed(WARP, "(c + 0.5)", "c"), "(r + 0.5)", "r"),
        {"warp-shown", "warp-any"}),
    ("warp", "corners aligned", changed(changed(WARP, "(c + 0.5) * (x2 - x1) / size - 0.5",
        "c * (x2 - x1 - 1) / (size - 1)"), "(r + 0.5) * (y2 - y1) / size - 0.5", "r * (y2 - y1 - 1) / (size - 1)"),
        {"warp-shown", "warp-any"}),
    ("warp", "rows and columns exchanged", changed(WARP, "out[n, :, r, c]", "out[n, :, c, r]"), {"warp-any"}),
    ("warp", "the nearest pixel", changed(WARP, "i, j = int(u // 1), int(v // 1)",
        "u, v = round(u), round(v)\n                i, j = u, v"), {"warp-shown", "warp-any"}),
    ("warp", "border pixels repeated", changed(changed(WARP, "if 0 <= x < width and 0 <= y < height:", "if True:"),
        "image[:, y, x]", "image[:, min(max(y, 0), height - 1), min(max(x, 0), width - 1)]"), {"warp-outside"}),
    ("warp", "off the picture from the other side", changed(WARP, "if 0 <= x < width and 0 <= y < height:",
        "if x < width and y < height:"), {"warp-outside"}),
    ("warp", "int for floor, left of the picture", changed(WARP, "int(u // 1), int(v // 1)", "int(u), int(v)"),
        {"warp-any"}),
    ("warp", "boxes cut to the picture first", changed(WARP, "add_context(boxes, size, context)",
        "add_context(boxes, size, context).clamp(0, width)"), {"warp-outside"}),
    ("warp", "context forgotten", changed(WARP, "add_context(boxes, size, context)", "boxes"), {"warp-outside",
        "warp-any"}),
    ("warp", "the shape kept, by the longer side", changed(WARP, ".tolist()):",
        ".tolist()):\n        x2, y2 = x1 + max(x2 - x1, y2 - y1), y1 + max(x2 - x1, y2 - y1)"),
        {"warp-shown", "warp-any"}),
    ("tune", "more than 0.5", changed(TUNE, ">= 0.5", "> 0.5"), {"tune-edges"}),
    ("tune", "the object's number", changed(TUNE, "int(labels[row.index(best)])", "row.index(best)"), {"tune-shown"}),
    ("tune", "foreground or not", changed(TUNE, "int(labels[row.index(best)])", "1"), {"tune-shown"}),
    ("tune", "overlaps with all objects added up", changed(TUNE, "best >= 0.5", "sum(row) >= 0.5"), {"tune-shown"}),
    ("tune", "the last object that is near enough", changed(TUNE, "int(labels[row.index(best)])",
        "int([label for label, iou in zip(labels, row) if iou >= 0.5][-1])"), {"tune-edges"}),
    ("tune", "the first object that is near enough", changed(TUNE, "int(labels[row.index(best)])",
        "int([label for label, iou in zip(labels, row) if iou >= 0.5][0])"), {"tune-shown"}),
    ("tune", "the SVM's threshold", changed(TUNE, ">= 0.5", ">= 0.3"), {"tune-shown"}),
    ("tune", "crashes without objects", changed(TUNE, "max(row, default=0.0)", "max(row)"), {"tune-edges"}),
    ("svm", "near proposals are positives", changed(SVM, "return torch.tensor(objects, dtype=torch.int64)",
        "return torch.tensor([r for r in range(len(overlaps)) if any(overlaps[r, g] >= 0.5 for g in objects)]).long()"),
        {"svm-shown"}),
    ("svm", "all objects are positives", changed(SVM, "return torch.tensor(objects, dtype=torch.int64)",
        "return torch.arange(len(labels))"), {"svm-shown", "svm-edges"}),
    ("svm", "0.3 itself", changed(SVM, "< 0.3", "<= 0.3"), {"svm-edges"}),
    ("svm", "fine-tuning's threshold", changed(SVM, "< 0.3", "< 0.5"), {"svm-shown", "svm-edges"}),
    ("svm", "far from any one of the objects", changed(SVM, "if all(", "if any("), {"svm-edges"}),
    ("svm", "far from the objects of all classes", changed(SVM, "for g in objects)]", "for g in range(len(labels)))]"),
        {"svm-shown", "svm-edges"}),
    ("svm", "no negatives where the class is not", changed(SVM, "    return ",
        "    far = far if objects else []\n    return "), {"svm-edges"}),
    ("svm", "objects of other classes are negatives", changed(SVM, "torch.tensor(far, dtype",
        "torch.tensor(far + [g for g in range(len(labels)) if g not in objects], dtype"), {"svm-shown"}),
    ("svm", "the classes counted from 0", changed(SVM, "== wanted", "== wanted + 1"), {"svm-shown"}),
    ("mine", "at the limit is hard", changed(MINE, "> hard_above", ">= hard_above"), {"mine-rules"}),
    ("mine", "at the limit goes", changed(MINE, ">= evict_below", "> evict_below"), {"mine-rules"}),
    ("mine", "only those called positive are hard", changed(MINE, "> hard_above", "> 0"), {"mine-rules"}),
    ("mine", "the wrong ones dropped", changed(MINE, ">= evict_below", "<= evict_below"), {"mine-shown", "mine-rules"}),
    ("mine", "dropped by the old SVM",
        changed(MINE, "    weight, bias = fit(pool)\n    stay = pool @ weight + bias >= evict_below",
        "    stay = pool @ weight + bias >= evict_below\n    weight, bias = fit(pool)"), {"mine-shown", "mine-rules"}),
    ("mine", "dropped before fitting", changed(MINE, "    pool = torch.cat([kept, torch.stack(hard)])",
        "    pool = torch.cat([kept[kept @ weight + bias >= evict_below], torch.stack(hard)])"), {"mine-rules"}),
    ("mine", "only the hard ones are kept", changed(MINE, "torch.cat([kept, torch.stack(hard)])", "torch.stack(hard)"),
        {"mine-shown", "mine-rules"}),
    ("mine", "all new ones added", changed(MINE, "if score > hard_above]", "]"), {"mine-rules"}),
    ("mine", "new ones first", changed(MINE, "[kept, torch.stack(hard)]", "[torch.stack(hard), kept]"),
        {"mine-shown", "mine-rules"}),
    ("mine", "nothing dropped", changed(MINE, "pool[stay]", "pool"), {"mine-shown", "mine-rules"}),
    ("mine", "the old SVM returned", changed(MINE, "    weight, bias = fit(pool)\n    stay = pool @ weight + bias",
        "    w, b = fit(pool)\n    stay = pool @ w + b"), {"mine-shown"}),
    ("mine", "fitted even if none was hard", changed(MINE,
        "    if len(hard) == 0:\n        return kept, weight, bias\n    pool = torch.cat([kept, torch.stack(hard)])",
        "    pool = torch.cat([kept, *[x[None] for x in hard]])"), {"mine-rules"}),
    ("mine", "the bias forgotten", changed(MINE, ".sum(dim=1) + bias", ".sum(dim=1)"), {"mine-rules"}),
    ("encode", "corners for centres", changed(changed(ENCODE, "(p1 + p2) / 2 - (x1 + x2) / 2", "p1 - x1"),
        "(q1 + q2) / 2 - (y1 + y2) / 2", "q1 - y1"), {"encode-shown", "encode-any"}),
    ("encode", "the other way", changed(ENCODE, "(p1 + p2) / 2 - (x1 + x2) / 2", "(x1 + x2) / 2 - (p1 + p2) / 2"),
        {"encode-shown", "encode-any"}),
    ("encode", "in sizes of the object", changed(ENCODE, "w, h = x2 - x1, y2 - y1", "w, h = p2 - p1, q2 - q1").replace(
        "torch.log((p2 - p1) / w)", "torch.log(w / (x2 - x1))").replace("torch.log((q2 - q1) / h)",
        "torch.log(h / (y2 - y1))"),
        {"encode-shown", "encode-any"}),
    ("encode", "no logarithm", changed(ENCODE, "torch.log((q2 - q1) / h)", "(q2 - q1) / h"), {"encode-shown"}),
    ("encode", "logarithm of base 2", changed(changed(ENCODE, "torch.log((p2", "torch.log2((p2"), "torch.log((q2",
        "torch.log2((q2"), {"encode-shown"}),
    ("encode", "the ratio upside down", changed(ENCODE, "(q2 - q1) / h)", "h / (q2 - q1))"), {"encode-shown"}),
    ("encode", "not divided by the size", changed(ENCODE, "(x1 + x2) / 2) / w", "(x1 + x2) / 2)"), {"encode-shown"}),
    ("encode", "y in widths", changed(ENCODE, "(y1 + y2) / 2) / h", "(y1 + y2) / 2) / w"), {"encode-shown",
        "encode-any"}),
    ("encode", "pixels counted inclusively", changed(ENCODE, "w, h = x2 - x1, y2 - y1",
        "w, h = x2 - x1 + 1, y2 - y1 + 1"),
        {"encode-any"}),
    ("encode", "arguments exchanged", changed(ENCODE, "encode_boxes(targets, anchors)",
        "encode_boxes(anchors, targets)"),
        {"encode-shown", "encode-any"}),
    ("encode", "height before width", changed(ENCODE, "[tx, ty, tw, th]", "[tx, ty, th, tw]"), {"encode-shown"}),
    ("decode", "no exponential", changed(changed(DECODE, "torch.exp(tw)", "(1 + tw)"), "torch.exp(th)", "(1 + th)"),
        {"decode-shown", "decode-any"}),
    ("decode", "half a size forgotten", changed(DECODE, "[x - w / 2, y - h / 2, x + w / 2, y + h / 2]",
        "[x - w, y - h, x + w, y + h]"), {"decode-shown", "decode-any"}),
    ("decode", "centre and size returned", changed(DECODE, "[x - w / 2, y - h / 2, x + w / 2, y + h / 2]",
        "[x, y, w, h]"),
        {"decode-shown", "decode-any"}),
    ("decode", "from the corner", changed(DECODE, "(x1 + x2) / 2 + tx", "x1 + tx"), {"decode-shown", "decode-any"}),
    ("decode", "shifted in pixels", changed(DECODE, "tx * (x2 - x1)", "tx"), {"decode-shown", "decode-any"}),
    ("decode", "shifted in new widths", changed(DECODE, "+ tx * (x2 - x1)", "+ tx * (x2 - x1) * torch.exp(tw)"),
        {"decode-any"}),
    ("decode", "one row only a proposal", changed(DECODE, "(-1,) + (1,) * (offsets.dim() - 2)", "(-1,)"),
        {"decode-any"}),
    ("decode", "negative exponent", changed(DECODE, "torch.exp(th)", "torch.exp(-th)"), {"decode-shown", "decode-any"}),
    ("decode", "cut at 0", changed(DECODE, "dim=-1)", "dim=-1).clamp(min=0)").replace("unbind(dim=-1).clamp(min=0)",
        "unbind(dim=-1)"), {"decode-any"}),
    ("decode", "in place", changed(DECODE, "    shape =", "    anchors[:, 2:] -= anchors[:, :2]\n"
        "    anchors[:, :2] += anchors[:, 2:] / 2\n    anchors = torch.cat([anchors[:, :2] - anchors[:, 2:] / 2, "
        "anchors[:, :2] + anchors[:, 2:] / 2], 1)\n    shape ="), {"decode-any"}),
    ("ridge", "no penalty for the 1s", changed(RIDGE, "dtype=x.dtype)", "dtype=x.dtype)\n    gram[-1, -1] -= ridge"),
        {"ridge-any"}),
    ("ridge", "no penalty", changed(RIDGE, "x.T @ x + ridge * torch.eye", "x.T @ x + 1e-9 * torch.eye"),
        {"ridge-shown", "ridge-any"}),
    ("ridge", "no bias", changed(changed(RIDGE, "value=1.0", "value=0.0"), "w[-1] + mean", "mean"), {"ridge-any"}),
    ("ridge", "the mean not subtracted", changed(RIDGE, "(y - mean)", "y"), {"ridge-shown", "ridge-any"}),
    ("ridge", "the mean not added again", changed(RIDGE, "w[-1] + mean", "w[-1]"), {"ridge-shown", "ridge-any"}),
    ("ridge", "targets not centred, the 1s with the penalty", changed(changed(RIDGE, "(y - mean)", "y"), "w[-1] + mean",
        "w[-1]"), {"ridge-shown", "ridge-any"}),
    ("ridge", "mean over the pairs", changed(RIDGE, "x.T @ x +", "x.T @ x / len(x) +").replace("@ x.T @ (y - mean)",
        "@ x.T @ (y - mean) / len(x)"), {"ridge-shown", "ridge-any"}),
    ("ridge", "lambda squared", changed(RIDGE, "+ ridge *", "+ ridge**2 *"), {"ridge-shown", "ridge-any"}),
    ("ridge", "lambda in every entry", changed(RIDGE, "ridge * torch.eye(x.shape[1], dtype=x.dtype)", "ridge"),
        {"ridge-shown", "ridge-any"}),
    ("ridge", "one mean for all four", changed(RIDGE, "y.mean(dim=0)", "y.mean()"), {"ridge-shown", "ridge-any"}),
    ("ridge", "features centred as well", changed(RIDGE, "features.double(), targets", "features.double() - "
        "features.double().mean(0), targets"), {"ridge-any"}),
]  # fmt: skip

RIGHT = [
    ("context", "by the frame", CONTEXT),
    ("context", "loops", """
def add_context(boxes, size, context):
    out = []
    for x1, y1, x2, y2 in boxes.double().tolist():
        w, h = ((x2 - x1) * size / (size - 2 * context), (y2 - y1) * size / (size - 2 * context))
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        out.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return torch.tensor(out)
"""),
    ("warp", "loops", WARP),
    ("warp", "torch's own sampling", """
def warp_crops(image, boxes, size, context=0):
    _, height, width = image.shape
    crops = []
    for x1, y1, x2, y2 in add_context(boxes, size, context).tolist():
        steps = (torch.arange(size) + 0.5) / size
        x, y = (x1 + steps * (x2 - x1)) / width * 2 - 1, (y1 + steps * (y2 - y1)) / height * 2 - 1
        grid = torch.stack([x.expand(size, size), y[:, None].expand(size, size)], dim=2)
        crops.append(torch.nn.functional.grid_sample(image[None], grid[None], align_corners=False)[0])
    return torch.stack(crops)
"""),
    ("warp", "a frame of zeros around the picture", """
def warp_crops(image, boxes, size, context=0):
    far = 60
    image = torch.nn.functional.pad(image, (far, far, far, far)).double()
    out = []
    for x1, y1, x2, y2 in add_context(boxes, size, context).double().tolist():
        steps = (torch.arange(size).double() + 0.5) / size
        u, v = x1 + steps * (x2 - x1) - 0.5 + far, y1 + steps * (y2 - y1) - 0.5 + far
        i, j = u.floor().long(), v.floor().long()
        f, g = u - i, (v - j)[:, None]
        upper = (1 - f) * image[:, j][:, :, i] + f * image[:, j][:, :, i + 1]
        lower = (1 - f) * image[:, j + 1][:, :, i] + f * image[:, j + 1][:, :, i + 1]
        out.append((1 - g) * upper + g * lower)
    return torch.stack(out)
"""),
    ("tune", "row by row", TUNE),
    ("tune", "a column of background", """
def finetune_labels(overlaps, labels):
    padded = torch.cat([torch.full((len(overlaps), 1), 0.5 - 1e-6), overlaps], dim=1)
    return torch.cat([torch.zeros(1, dtype=torch.int64), labels])[padded.argmax(dim=1)]
"""),
    ("svm", "row by row", SVM),
    ("svm", "lists", """
def svm_examples(overlaps, labels, wanted):
    own = overlaps * (labels == wanted)
    best = torch.cat([own, torch.zeros(len(own), 1)], dim=1).max(dim=1).values
    return (labels == wanted).nonzero().flatten().tolist(), (best < 0.3).nonzero().flatten().tolist()
"""),
    ("mine", "row by row", MINE),
    ("mine", "masks", """
def mine(kept, found, weight, bias, fit, hard_above=-1.0001, evict_below=-1.2):
    pool = torch.cat([kept, found[torch.mv(found, weight) + bias > hard_above]])
    if len(pool) > len(kept):
        weight, bias = fit(pool)
        pool = pool[~(torch.mv(pool, weight) + bias < evict_below)]
    return [pool, weight, bias]
"""),
    ("encode", "coordinate by coordinate", ENCODE),
    ("encode", "in double precision, as a difference of logarithms", """
def encode_boxes(targets, anchors):
    def parts(boxes):
        boxes = boxes.double()
        return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    (c, s), (c0, s0) = parts(targets), parts(anchors)
    return torch.cat([(c - c0) / s0, s.log() - s0.log()], dim=1)
"""),
    ("decode", "coordinate by coordinate", DECODE),
    ("decode", "loops, in double precision", """
import math
def decode_boxes(offsets, anchors):
    out = torch.zeros(offsets.shape, dtype=torch.float64)
    flat, rows = out.view(-1, 4), offsets.double().reshape(-1, 4).tolist()
    each = len(rows) // max(1, len(anchors))
    for k, (tx, ty, tw, th) in enumerate(rows):
        x1, y1, x2, y2 = anchors[k // each].tolist()
        w, h = x2 - x1, y2 - y1
        x, y = x1 + w / 2 + tx * w, y1 + h / 2 + ty * h
        w, h = w * math.exp(tw), h * math.exp(th)
        flat[k] = torch.tensor([x - w / 2, y - h / 2, x + w / 2, y + h / 2], dtype=torch.float64)
    return out
"""),
    ("ridge", "an inverse", RIDGE),
    ("ridge", "least squares with more rows", """
def ridge_regression(features, targets, ridge):
    size = features.shape[1] + 1
    x = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    x = torch.cat([x, ridge**0.5 * torch.eye(size)])
    mean = targets.mean(dim=0)
    y = torch.cat([targets - mean, torch.zeros(size, 4)])
    w = torch.linalg.lstsq(x, y).solution
    return w[:-1], w[-1] + mean
"""),
    ("ridge", "the small Gram matrix", """
def ridge_regression(features, targets, ridge):
    x = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    mean = targets.mean(dim=0)
    w = x.T @ torch.linalg.solve(x @ x.T + ridge * torch.eye(len(x)), targets - mean)
    return w[:-1], w[-1] + mean
"""),
    ("ridge", "column by column", changed(RIDGE, "w = torch.linalg.inv(gram) @ x.T @ (y - mean)",
        "w = torch.stack([torch.linalg.solve(gram, x.T @ c) for c in (y - mean).T], dim=1)")),
]  # fmt: skip
