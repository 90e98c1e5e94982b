"""Typical wrong answers to A2: exercise, mistake, code, tests that must fail. And right ones that look different."""

from wrong_answers_A1 import changed

DESCRIBE = """
def describe_region(image, mask):
    ys, xs = mask.nonzero(as_tuple=True)
    box = torch.tensor([int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1], dtype=torch.float32)
    colour = torch.zeros(75)
    for y, x in zip(ys.tolist(), xs.tolist()):
        for c in range(3):
            colour[25 * c + int(image[c, y, x]) * 25 // 256] += 1
    return {"size": len(ys), "box": box, "colour": colour / colour.sum()}
"""
SIMILAR = """
def similarities(a, b, picture):
    colour = torch.minimum(a["colour"], b["colour"]).sum()
    texture = torch.minimum(a["texture"], b["texture"]).sum()
    x1, y1, _, _ = torch.minimum(a["box"], b["box"]).tolist()
    _, _, x2, y2 = torch.maximum(a["box"], b["box"]).tolist()
    both = a["size"] + b["size"]
    size = 1 - both / picture
    fill = 1 - ((x2 - x1) * (y2 - y1) - both) / picture
    return torch.tensor([colour, texture, size, fill])
"""
MERGE = """
def merge_regions(a, b):
    share = a["size"] / (a["size"] + b["size"])
    x1, y1, _, _ = torch.minimum(a["box"], b["box"])
    _, _, x2, y2 = torch.maximum(a["box"], b["box"])
    return {
        "size": a["size"] + b["size"],
        "box": torch.stack([x1, y1, x2, y2]),
        "colour": share * a["colour"] + (1 - share) * b["colour"],
        "texture": share * a["texture"] + (1 - share) * b["texture"],
    }
"""
GROUP = """
def group_regions(regions, pairs, similarity, merge):
    regions, pairs, merges = list(regions), sorted(pairs), []
    values = [similarity(regions[i], regions[j]) for i, j in pairs]
    while pairs:
        best = values.index(max(values))
        a, b = pairs[best]
        new = len(regions)
        regions.append(merge(regions[a], regions[b]))
        merges.append((a, b))
        others = set()
        for i, j in pairs:
            if i in (a, b) and j not in (a, b):
                others.add(j)
            if j in (a, b) and i not in (a, b):
                others.add(i)
        kept = [(pair, value) for pair, value in zip(pairs, values) if a not in pair and b not in pair]
        kept += [((i, new), similarity(regions[i], regions[new])) for i in others]
        kept.sort(key=lambda entry: entry[0])
        pairs, values = [pair for pair, _ in kept], [value for _, value in kept]
    return regions, merges
"""
QUALITY = """
def proposal_quality(proposals, objects, labels, iou_threshold=0.5):
    best = {}
    for boxes, truth, names in zip(proposals, objects, labels):
        for g, name in enumerate(names.tolist()):
            overlap = box_iou(truth[g : g + 1], boxes)[0].tolist()
            best.setdefault(name, []).append(max(overlap, default=0.0))
    everything = [value for values in best.values() for value in values]
    recall = sum(value >= iou_threshold for value in everything) / len(everything)
    abos = [sum(values) / len(values) for values in best.values()]
    return recall, sum(abos) / len(abos)
"""

WRONG = [
    ("describe", "right and bottom inclusive", changed(changed(DESCRIBE, "int(xs.max()) + 1", "int(xs.max())"),
        "int(ys.max()) + 1", "int(ys.max())"), {"describe-shown", "describe-box"}),
    ("describe", "x and y swapped", changed(DESCRIBE, "ys, xs = mask", "xs, ys = mask"), {"describe-shown"}),
    ("describe", "25 v in uint8", changed(DESCRIBE, "int(image[c, y, x]) * 25", "int(image[c, y, x] * 25)"),
        {"describe-shown", "describe-bins"}),
    ("describe", "each channel sums to 1", changed(DESCRIBE, "colour / colour.sum()", "colour / len(ys)"),
        {"describe-shown", "describe-bins"}),
    ("describe", "not normalised", changed(DESCRIBE, "colour / colour.sum()", "colour"), {"describe-shown"}),
    ("describe", "divided by its length, L2", changed(DESCRIBE, "colour.sum()", "colour.norm()"), {"describe-shown"}),
    ("describe", "bins of 10 values", changed(DESCRIBE, "* 25 // 256", "// 10 % 25"), {"describe-bins"}),
    ("describe", "rounded to the nearest bin", changed(DESCRIBE, "int(image[c, y, x]) * 25 // 256",
        "min(24, round(int(image[c, y, x]) * 25 / 256))"), {"describe-bins"}),
    ("describe", "25 bins over 0..255, the last value apart", changed(DESCRIBE, "int(image[c, y, x]) * 25 // 256",
        "min(24, int(image[c, y, x]) * 25 // 255)"), {"describe-bins"}),
    ("describe", "the channels side by side in every bin", changed(DESCRIBE,
        "25 * c + int(image[c, y, x]) * 25 // 256", "c + 3 * (int(image[c, y, x]) * 25 // 256)"), {"describe-bins"}),
    ("describe", "all pixels of the picture counted", changed(DESCRIBE, "for y, x in zip(ys.tolist(), xs.tolist()):",
        "for y, x in torch.ones_like(mask).nonzero().tolist():"), {"describe-shown"}),
    ("describe", "the size is the area of the box", changed(DESCRIBE, '"size": len(ys)',
        '"size": (box[2] - box[0]) * (box[3] - box[1])'), {"describe-box"}),
    ("describe", "box as x, y, width, height", changed(changed(DESCRIBE, "int(xs.max()) + 1",
        "int(xs.max() - xs.min()) + 1"), "int(ys.max()) + 1", "int(ys.max() - ys.min()) + 1"), {"describe-box"}),
    ("similar", "product for the smaller one", changed(SIMILAR, 'torch.minimum(a["colour"], b["colour"]).sum()',
        '(a["colour"] * b["colour"]).sum()'), {"similar-shown", "similar-any"}),
    ("similar", "distance for intersection", changed(SIMILAR, 'torch.minimum(a["colour"], b["colour"]).sum()',
        '(a["colour"] - b["colour"]).abs().sum()'), {"similar-shown", "similar-any"}),
    ("similar", "mean instead of sum", changed(SIMILAR, 'b["texture"]).sum()', 'b["texture"]).mean()'),
        {"similar-any"}),
    ("similar", "texture from the colours", changed(SIMILAR, 'torch.minimum(a["texture"], b["texture"])',
        'torch.minimum(a["colour"], b["colour"])'), {"similar-shown"}),
    ("similar", "size the wrong way round", changed(SIMILAR, "size = 1 - both / picture", "size = both / picture"),
        {"similar-shown"}),
    ("similar", "size without b", changed(SIMILAR, "size = 1 - both / picture", 'size = 1 - a["size"] / picture'),
        {"similar-shown"}),
    ("similar", "fill over the box, not the picture", changed(SIMILAR, "- both) / picture",
        "- both) / ((x2 - x1) * (y2 - y1))"), {"similar-fill"}),
    ("similar", "fill from the areas of the boxes", changed(SIMILAR, "(y2 - y1) - both)",
        '(y2 - y1) - sum((r["box"][2:] - r["box"][:2]).prod() for r in (a, b)))'), {"similar-fill"}),
    ("similar", "the box that both share", changed(SIMILAR, '= torch.maximum(a["box"], b["box"])',
        '= torch.minimum(a["box"], b["box"])'), {"similar-shown", "similar-fill"}),
    ("similar", "pixels counted inclusively", changed(SIMILAR, "(x2 - x1) * (y2 - y1)",
        "(x2 - x1 + 1) * (y2 - y1 + 1)"), {"similar-shown"}),
    ("similar", "size and fill exchanged", changed(SIMILAR, "texture, size, fill", "texture, fill, size"),
        {"similar-shown"}),
    ("similar", "changes the first region", changed(SIMILAR, 'colour = torch.minimum(a["colour"], b["colour"]).sum()',
        'colour = torch.minimum(a["colour"], b["colour"], out=a["colour"]).sum()'), {"similar-any"}),
    ("merge", "plain mean", changed(MERGE, 'share = a["size"] / (a["size"] + b["size"])', "share = 0.5"),
        {"merge-shown", "merge-all"}),
    ("merge", "weights exchanged", changed(MERGE, 'share = a["size"] /', 'share = b["size"] /'),
        {"merge-shown", "merge-all"}),
    ("merge", "histograms added up", changed(changed(MERGE, "share * a", "a"), "(1 - share) * b", "b"),
        {"merge-shown"}),
    ("merge", "texture forgotten", changed(MERGE, 'share * a["texture"] + (1 - share) * b["texture"]', 'a["texture"]'),
        {"merge-all"}),
    ("merge", "size from the new box", changed(MERGE, '"size": a["size"] + b["size"]', '"size": (x2 - x1) * (y2 - y1)'),
        {"merge-shown"}),
    ("merge", "box of what both share", changed(changed(MERGE, "torch.minimum", "torch.larger"),
        "torch.maximum", "torch.minimum").replace("torch.larger", "torch.maximum"), {"merge-shown"}),
    ("merge", "box of the first with the end of the second", changed(MERGE, "torch.stack([x1, y1, x2, y2])",
        'torch.cat([a["box"][:2], b["box"][2:]])'), {"merge-all"}),
    ("merge", "weighted box", changed(MERGE, "torch.stack([x1, y1, x2, y2])",
        'share * a["box"] + (1 - share) * b["box"]'), {"merge-shown"}),
    ("merge", "changes the first region", changed(MERGE, "    return {",
        '    a["colour"].mul_(share).add_((1 - share) * b["colour"])\n    return a | {').replace(
        'share * a["colour"] + (1 - share) * b["colour"]', 'a["colour"]'), {"merge-all"}),
    ("group", "least similar first", changed(GROUP, "max(values)", "min(values)"), {"group-shown"}),
    ("group", "old similarities kept", changed(GROUP, "((i, new), similarity(regions[i], regions[new]))",
        "((i, new), max(v for p, v in zip(pairs, values) if i in p and (a in p or b in p)))"),
        {"group-shown", "group-any"}),
    ("group", "any two regions, neighbours or not", changed(GROUP, "sorted(pairs)",
        "[(i, j) for j in range(len(regions)) for i in range(j)]"), {"group-shown"}),
    ("group", "the new region has no neighbours", changed(GROUP, "for i in others]", "for i in ()]"), {"group-shown"}),
    ("group", "only the first one's neighbours", changed(GROUP, "if j in (a, b) and i not in (a, b)", "if j == a"),
        {"group-any"}),
    ("group", "ties in the order given", changed(changed(GROUP, "sorted(pairs)", "list(pairs)"),
        "kept.sort(key=lambda entry: entry[0])", "pass"), {"group-edges"}),
    ("group", "the last of equals", changed(GROUP, "values.index(max(values))",
        "max(range(len(values)), key=lambda e: (values[e], e))"), {"group-edges"}),
    ("group", "only the merged ones", changed(GROUP, "return regions, merges",
        "return regions[len(regions) - len(merges) :], merges"), {"group-shown"}),
    ("group", "only the last region", changed(GROUP, "return regions, merges", "return regions[-1:], merges"),
        {"group-shown"}),
    ("group", "merges until one is left, neighbours or not", changed(GROUP, "while pairs:",
        "while len(merges) < len(regions) // 2 or pairs:"), {"group-edges"}),
    ("group", "writes into the list given", changed(GROUP, "regions, pairs, merges = list(regions)",
        "regions, pairs, merges = regions"), {"group-edges"}),
    ("group", "takes negative similarities for none", changed(GROUP, "        a, b = pairs[best]",
        "        if values[best] <= 0:\n            break\n        a, b = pairs[best]"), {"group-edges", "group-any"}),
    ("group", "new regions named after the first", changed(GROUP, "merges.append((a, b))",
        "merges.append((min(a, b) % 4, max(a, b) % 4))"), {"group-shown"}),
    ("quality", "more than the threshold", changed(QUALITY, ">= iou_threshold", "> iou_threshold"), {"quality-edges"}),
    ("quality", "0.5, whatever is asked", changed(QUALITY, ">= iou_threshold", ">= 0.5"), {"quality-edges"}),
    ("quality", "mean over the objects", changed(QUALITY, "return recall, sum(abos) / len(abos)",
        "return recall, sum(everything) / len(everything)"), {"quality-shown", "quality-edges"}),
    ("quality", "recall as the mean over classes", changed(QUALITY,
        "sum(value >= iou_threshold for value in everything) / len(everything)",
        "sum(sum(v >= iou_threshold for v in vs) / len(vs) for vs in best.values()) / len(best)"),
        {"quality-edges"}),
    ("quality", "mean overlap of all proposals", changed(QUALITY, "max(overlap, default=0.0)",
        "sum(overlap) / max(1, len(overlap))"), {"quality-shown"}),
    ("quality", "share of proposals that hit", changed(QUALITY, "return recall,",
        "hit = [(box_iou(b, t) >= iou_threshold).any(1) for b, t in zip(proposals, objects)]\n"
        "    recall = float(torch.cat(hit).float().mean())\n    return recall,"), {"quality-shown", "quality-edges"}),
    ("quality", "all pictures' boxes together", changed(QUALITY, "    best = {}",
        "    proposals = [torch.cat(proposals)] * len(objects)\n    best = {}"), {"quality-edges"}),
    ("quality", "crashes without proposals", changed(QUALITY, ", default=0.0)", ")"), {"quality-edges"}),
    ("quality", "objects without proposals left out", changed(QUALITY, "        for g, name",
        "        if not len(boxes):\n            continue\n        for g, name"), {"quality-edges"}),
    ("quality", "the best box only counts once it is good enough", changed(QUALITY, "abos = [sum(values)",
        "abos = [sum(v for v in values if v >= iou_threshold)"), {"quality-shown"}),
]  # fmt: skip

RIGHT = [
    ("describe", "pixel by pixel", DESCRIBE),
    ("describe", "histc, in double precision", """
def describe_region(image, mask):
    ys, xs = mask.nonzero().T
    values = (image[:, mask].double() * 25 / 256).floor()
    colour = torch.cat([torch.histc(channel, bins=25, min=0, max=25) for channel in values]) / values.numel()
    return {"size": mask.sum(), "box": [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], "colour": colour}
"""),
    ("describe", "numpy", """
import numpy as np
def describe_region(image, mask):
    pixels, inside = image.numpy().astype(int), mask.numpy()
    ys, xs = np.nonzero(inside)
    counts = np.concatenate([np.bincount(c[inside] * 25 // 256, minlength=25) for c in pixels])
    return {"size": inside.sum(), "box": np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]),
            "colour": counts / counts.sum()}
"""),
    ("similar", "by coordinates", SIMILAR),
    ("similar", "loops over lists", changed(changed(SIMILAR, 'torch.minimum(a["colour"], b["colour"]).sum()',
        'sum(min(p, q) for p, q in zip(a["colour"].tolist(), b["colour"].tolist()))'),
        "torch.tensor([colour, texture, size, fill])", "[colour, texture, float(size), fill]")),
    ("similar", "in double precision", changed(SIMILAR, "torch.tensor([colour, texture, size, fill])",
        "torch.stack([torch.as_tensor(s, dtype=torch.float64) for s in (colour, texture, size, fill)])")),
    ("merge", "by share", MERGE),
    ("merge", "a comprehension, in double precision", """
def merge_regions(a, b):
    n, m = a["size"], b["size"]
    box = [min(a["box"][0], b["box"][0]), min(a["box"][1], b["box"][1]),
           max(a["box"][2], b["box"][2]), max(a["box"][3], b["box"][3])]
    histograms = {k: (n * a[k].double() + m * b[k].double()) / (n + m) for k in ("colour", "texture")}
    return {"size": n + m, "box": torch.tensor(box), **histograms}
"""),
    ("group", "sorted lists", GROUP),
    ("group", "sets of neighbours, everything compared anew every time", """
def group_regions(regions, pairs, similarity, merge):
    regions, merges = list(regions), []
    near = {number: set() for number in range(len(regions))}
    for i, j in pairs:
        near[i].add(j)
        near[j].add(i)
    while any(near.values()):
        best = None
        for i in sorted(near):
            for j in sorted(near[i]):
                if i < j:
                    value = float(similarity(regions[j], regions[i]))
                    if best is None or value > best[0]:
                        best = (value, i, j)
        _, a, b = best
        new = len(regions)
        regions = regions + [merge(regions[b], regions[a])]
        merges.append([a, b])
        near[new] = (near.pop(a) | near.pop(b)) - {a, b}
        for other in near[new]:
            near[other] = (near[other] - {a, b}) | {new}
    return regions, merges
"""),
    ("quality", "a dictionary of classes", QUALITY),
    ("quality", "tensors", changed(QUALITY, "return recall, sum(abos) / len(abos)",
        "return torch.tensor(recall), torch.tensor(abos, dtype=torch.float64).mean()")),
]  # fmt: skip
