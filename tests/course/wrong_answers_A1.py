"""Typical wrong answers to A1: exercise, mistake, code, tests that must fail. And right ones that look different."""

IOU = """
def box_iou(boxes1, boxes2):
    lt = torch.maximum(boxes1[:, None, :2], boxes2[None, :, :2])
    rb = torch.minimum(boxes1[:, None, 2:], boxes2[None, :, 2:])
    shared = (rb - lt).clamp(min=0).prod(dim=2)
    area1, area2 = ((b[:, 2:] - b[:, :2]).prod(dim=1) for b in (boxes1, boxes2))
    union = area1[:, None] + area2[None] - shared
    return torch.where(union > 0, shared / union, torch.zeros_like(shared))
"""
NMS = """
def nms(boxes, scores, iou_threshold):
    order = scores.sort(descending=True, stable=True).indices.tolist()
    kept = []
    for row in order:
        if all(box_iou(boxes[row][None], boxes[k][None])[0, 0] <= iou_threshold for k in kept):
            kept.append(row)
    return torch.tensor(kept, dtype=torch.int64)
"""
HITS = """
def true_positives(boxes, scores, objects, iou_threshold=0.5):
    order = scores.sort(descending=True, stable=True).indices.tolist()
    taken, hits = set(), []
    for row in order:
        hit = False
        if len(objects):
            overlap = box_iou(boxes[row][None], objects)[0]
            best = int(overlap.argmax())
            hit = bool(overlap[best] >= iou_threshold) and best not in taken
            if hit:
                taken.add(best)
        hits.append(hit)
    return torch.tensor(hits, dtype=torch.bool)
"""
AP = """
def average_precision(hits, num_objects):
    right = hits.double().cumsum(0)
    precision, recall = right / torch.arange(1, len(hits) + 1), right / num_objects
    best = [max(precision[recall >= i / 10 - 1e-9].tolist(), default=0.0) for i in range(11)]
    return sum(best) / 11
"""


def changed(code: str, old: str, new: str) -> str:
    """The code with one thing wrong in it."""
    assert old in code, old
    return code.replace(old, new)


WRONG = [
    ("iou", "pixels counted inclusively", changed(IOU, "(rb - lt)", "(rb - lt + 1)"), {"iou-shown"}),
    ("iou", "no clamping", changed(IOU, ".clamp(min=0)", ""), {"iou-apart"}),
    ("iou", "union without taking the shared part away", changed(IOU, " - shared", ""), {"iou-shown", "iou-any"}),
    ("iou", "shared over the smaller box", changed(IOU, "area1[:, None] + area2[None] - shared",
        "torch.minimum(area1[:, None], area2[None])"), {"iou-shown", "iou-any"}),
    ("iou", "x and y swapped for one list", changed(IOU, "def box_iou(boxes1, boxes2):",
        "def box_iou(boxes1, boxes2):\n    boxes1 = boxes1[:, [1, 0, 3, 2]]"), {"iou-any"}),
    ("iou", "transposed", changed(IOU, "torch.zeros_like(shared))", "torch.zeros_like(shared)).T"), {"iou-any"}),
    ("iou", "0 / 0", changed(IOU, "torch.where(union > 0, shared / union, torch.zeros_like(shared))",
        "shared / union"), {"iou-apart"}),
    ("iou", "boxes taken as x, y, width, height", changed(IOU, "def box_iou(boxes1, boxes2):",
        "def box_iou(boxes1, boxes2):\n    boxes1, boxes2 = (torch.cat([b[:, :2], b[:, :2] + b[:, 2:]], 1) "
        "for b in (boxes1, boxes2))"), {"iou-any"}),
    ("iou", "no union below one pixel",
        changed(IOU, "union > 0, shared / union", "union > 0, shared / union.clamp(min=1)"), {"iou-apart"}),
    ("iou", "clips the boxes that it was given",
        changed(IOU, "    lt =", "    boxes1.clamp_(min=0)\n    lt ="), {"iou-apart"}),
    ("nms", "keeps from the worst", changed(NMS, "descending=True", "descending=False"), {"nms-shown"}),
    ("nms", "a box at the threshold goes", changed(NMS, "<= iou_threshold", "< iou_threshold"), {"nms-edges"}),
    ("nms", "threshold the wrong way round", changed(NMS, "<= iou_threshold", ">= iou_threshold"), {"nms-shown"}),
    ("nms", "boxes that have gone suppress, too",
        changed(NMS, "for k in kept)", "for k in order[: order.index(row)])"), {"nms-chain"}),
    ("nms", "in order of rows", changed(NMS, "torch.tensor(kept", "torch.tensor(sorted(kept)"), {"nms-shown"}),
    ("nms", "the boxes instead of their rows", changed(NMS, "torch.tensor(kept, dtype=torch.int64)", "boxes[kept]"),
        {"nms-shown"}),
    ("nms", "a mask instead of rows", changed(NMS, "return torch.tensor(kept, dtype=torch.int64)",
        "mask = torch.zeros(len(boxes), dtype=torch.bool)\n    mask[kept] = True\n    return mask"), {"nms-shown"}),
    ("nms", "ties keep each other", changed(NMS, "if all(", "if all(scores[row] == scores[k] or "), {"nms-edges"}),
    ("nms", "only neighbours in the ranking are compared", changed(NMS, "for k in kept)", "for k in kept[-1:])"),
        {"nms-chain"}),
    ("hits", "in the order of the boxes",
        changed(HITS, "scores.sort(descending=True, stable=True).indices.tolist()", "range(len(boxes))"),
        {"hits-shown"}),
    ("hits", "an object found twice is right twice", changed(HITS, " and best not in taken", ""), {"hits-twice"}),
    ("hits", "more than the threshold", changed(HITS, ">= iou_threshold", "> iou_threshold"), {"hits-twice"}),
    ("hits", "any free object will do", changed(HITS, "best = int(overlap.argmax())",
        "best = int(torch.tensor([-1 if g in taken else o for g, o in enumerate(overlap.tolist())]).argmax())"),
        {"hits-twice"}),
    ("hits", "0.5 whatever is asked for", changed(HITS, ">= iou_threshold", ">= 0.5"), {"hits-twice"}),
    ("hits", "crashes without detections", changed(HITS, "    order =", "    best_score = scores.max()\n    order ="),
        {"hits-twice"}),
    ("hits", "crashes without objects", changed(HITS, "if len(objects):", "if True:"), {"hits-twice"}),
    ("hits", "a bad detection takes its object",
        changed(HITS, "if hit:\n                taken", "if True:\n                taken"), {"hits-twice"}),
    ("ap", "precision at that recall only", changed(AP, "precision[recall >= i / 10 - 1e-9].tolist()",
        "precision[recall >= i / 10 - 1e-9].tolist()[:1]"), {"ap-edges"}),
    ("ap", "ten points", changed(changed(AP, "range(11)", "range(1, 11)"), "/ 11", "/ 10"), {"ap-shown"}),
    ("ap", "divided by ten", changed(AP, "sum(best) / 11", "sum(best) / 10"), {"ap-shown"}),
    ("ap", "recall of the detections, not of the objects",
        changed(AP, "right / num_objects", "right / max(1, len(hits))"), {"ap-shown"}),
    ("ap", "precision over the objects", changed(AP, "right / torch.arange(1, len(hits) + 1)", "right / num_objects"),
        {"ap-shown"}),
    ("ap", "ranks from 0", changed(AP, "torch.arange(1, len(hits) + 1)", "torch.arange(len(hits)).clamp(min=1)"),
        {"ap-shown"}),
    ("ap", "the area instead", """
def average_precision(hits, num_objects):
    right = hits.double().cumsum(0)
    precision = right / torch.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / num_objects)
""", {"ap-edges"}),
    ("ap", "crashes without detections", changed(AP, ", default=0.0)", ")"), {"ap-edges"}),
]  # fmt: skip

RIGHT = [
    ("iou", "the same, vectorised otherwise", IOU),
    ("iou", "loops, in double precision", """
def box_iou(boxes1, boxes2):
    out = torch.zeros(len(boxes1), len(boxes2), dtype=torch.float64)
    for i, p in enumerate(boxes1.double()):
        for j, q in enumerate(boxes2.double()):
            w = max(0.0, float(min(p[2], q[2]) - max(p[0], q[0])))
            h = max(0.0, float(min(p[3], q[3]) - max(p[1], q[1])))
            union = float((p[2] - p[0]) * (p[3] - p[1]) + (q[2] - q[0]) * (q[3] - q[1])) - w * h
            out[i, j] = w * h / union if union > 0 else 0.0
    return out
"""),
    ("iou", "in NumPy", """
import numpy as np
def box_iou(boxes1, boxes2):
    a, b = boxes1.numpy()[:, None], boxes2.numpy()[None]
    shared = np.prod(np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None), -1)
    union = np.prod(a[..., 2:] - a[..., :2], -1) + np.prod(b[..., 2:] - b[..., :2], -1) - shared
    return torch.from_numpy(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
"""),
    ("nms", "against those that stayed", NMS),
    ("nms", "a list", changed(NMS, "torch.tensor(kept, dtype=torch.int64)", "torch.tensor(list(kept)).long()")),
    ("hits", "a set of taken objects", HITS),
    ("hits", "a list of Booleans", changed(HITS, "torch.tensor(hits, dtype=torch.bool)", "hits")),
    ("ap", "in a comprehension", AP),
    ("ap", "a tensor", changed(AP, "sum(best) / 11", "torch.tensor(best).mean()")),
]  # fmt: skip
