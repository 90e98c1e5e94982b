"""Typical wrong answers to A5: exercise, mistake, code, tests that must fail. And right ones that look different."""

from wrong_answers_A1 import changed

POOL = """
def roi_pool(features, rois, output_size, spatial_scale=1.0):
    n = output_size
    H, W = features.shape[2:]
    out = torch.zeros(len(rois), features.shape[1], n, n, dtype=features.dtype)
    def half_up(v):
        return math.floor(v + 0.5)
    for r in range(len(rois)):
        image = int(rois[r, 0])
        left, top, right, bottom = [half_up(float(v) * spatial_scale) for v in rois[r, 1:]]
        w, h = max(right - left + 1, 1), max(bottom - top + 1, 1)
        for i in range(n):
            y1, y2 = top + math.floor(i * h / n), top + math.ceil((i + 1) * h / n)
            y1, y2 = min(max(y1, 0), H), min(max(y2, 0), H)
            for j in range(n):
                x1, x2 = left + math.floor(j * w / n), left + math.ceil((j + 1) * w / n)
                x1, x2 = min(max(x1, 0), W), min(max(x2, 0), W)
                if y2 > y1 and x2 > x1:
                    out[r, :, i, j] = features[image, :, y1:y2, x1:x2].flatten(1).max(dim=1).values
    return out
"""
BACK = """
def roi_pool_backward(gradient, winners, pictures, shape):
    B, C, H, W = shape
    result = torch.zeros(B, C, H, W, dtype=gradient.dtype)
    R, _, n, m = gradient.shape
    for r in range(R):
        for c in range(C):
            for i in range(n):
                for j in range(m):
                    cell = int(winners[r, c, i, j])
                    if cell >= 0:
                        result[pictures[r], c, cell // W, cell % W] += gradient[r, c, i, j]
    return result
"""
SMOOTH = """
def smooth_l1(difference, beta=1.0):
    size = torch.abs(difference)
    small = (size < beta).to(difference.dtype)
    return small * 0.5 * difference**2 / beta + (1 - small) * (size - 0.5 * beta)
"""
LOSS = """
def multi_task_loss(scores, offsets, labels, targets, regression_weight=1.0):
    R = len(labels)
    log_p = torch.log_softmax(scores, dim=1)
    classification = -log_p[torch.arange(R), labels].mean()
    regression = offsets.sum() * 0
    for r in range(R):
        u = int(labels[r])
        if u >= 1:
            x = (offsets[r, u - 1] - targets[r]).abs()
            regression = regression + torch.where(x < 1, 0.5 * x**2, x - 0.5).sum()
    return {"classification": classification, "regression": regression_weight * regression / R}
"""
SAMPLE = """
def sample_rois(best_iou, generator, size=64, foreground_fraction=0.25):
    order = torch.randperm(len(best_iou), generator=generator).tolist()
    most = round(size * foreground_fraction)
    foreground = [i for i in order if best_iou[i] >= 0.5][:most]
    background = [i for i in order if 0.1 <= best_iou[i] < 0.5][: size - len(foreground)]
    return torch.tensor(foreground, dtype=torch.int64), torch.tensor(background, dtype=torch.int64)
"""

WRONG = [
    ("pool", "the right and bottom ends exclusive", changed(changed(POOL, "right - left + 1", "right - left"),
        "bottom - top + 1", "bottom - top"), {"pool-shown", "pool-rounding", "pool-any"}),
    ("pool", "bins that share nothing", changed(POOL, "math.ceil", "math.floor"), {"pool-shown", "pool-any"}),
    ("pool", "bins of equal width, the rest left out", changed(changed(POOL, "math.ceil((j + 1) * w / n)",
        "(j + 1) * max(w // n, 1)"), "math.floor(j * w / n)", "j * max(w // n, 1)"), {"pool-shown", "pool-any"}),
    ("pool", "Python's round", changed(POOL, "math.floor(v + 0.5)", "round(v)"), {"pool-rounding"}),
    ("pool", "floor instead of round", changed(POOL, "math.floor(v + 0.5)", "math.floor(v)"),
        {"pool-rounding", "pool-any"}),
    ("pool", "floor at the left, ceil at the right", changed(POOL, "rois[r, 1:]]",
        "rois[r, 1:]]\n        left, top = (math.floor(float(v) * spatial_scale) for v in rois[r, 1:3])\n"
        "        right, bottom = (math.ceil(float(v) * spatial_scale) for v in rois[r, 3:])"),
        {"pool-rounding", "pool-any"}),
    ("pool", "corners by SPP-net's rule", changed(POOL, "rois[r, 1:]]",
        "rois[r, 1:]]\n        left, top = (math.floor(float(v) * spatial_scale) + 1 for v in rois[r, 1:3])\n"
        "        right, bottom = (math.ceil(float(v) * spatial_scale) - 1 for v in rois[r, 3:])"),
        {"pool-shown", "pool-rounding", "pool-any"}),
    ("pool", "the scale left out", changed(POOL, " * spatial_scale", ""), {"pool-rounding", "pool-any"}),
    ("pool", "divided by the scale", changed(POOL, " * spatial_scale", " / spatial_scale"),
        {"pool-rounding", "pool-any"}),
    ("pool", "x and y swapped", changed(POOL, "left, top, right, bottom =", "top, left, bottom, right ="),
        {"pool-shown", "pool-any"}),
    ("pool", "bin rows and columns swapped", changed(POOL, "out[r, :, i, j]", "out[r, :, j, i]"),
        {"pool-shown", "pool-any"}),
    ("pool", "always the first picture", changed(POOL, "int(rois[r, 0])", "0"), {"pool-any"}),
    ("pool", "the mean", changed(POOL, ".max(dim=1).values", ".mean(dim=1)"), {"pool-shown", "pool-any"}),
    ("pool", "the maximum begins at 0", changed(POOL, ".max(dim=1).values", ".max(dim=1).values.clamp(min=0)"),
        {"pool-rounding", "pool-border", "pool-any"}),
    ("pool", "minus infinity for empty bins", changed(POOL, "out = torch.zeros(len(rois), features.shape[1], n, n, "
        "dtype=features.dtype)", "out = torch.full((len(rois), features.shape[1], n, n), -math.inf)"),
        {"pool-border"}),
    ("pool", "crashes on empty bins", changed(POOL, "if y2 > y1 and x2 > x1:", "if True:"), {"pool-border"}),
    ("pool", "negative corners count from the end", changed(changed(POOL, "min(max(y1, 0), H)", "y1"),
        "min(max(x1, 0), W)", "x1"), {"pool-border"}),
    ("pool", "the RoI clipped to the map before it is cut into bins", changed(POOL, "        w, h =",
        "        left, right = max(left, 0), min(right, W - 1)\n        top, bottom = max(top, 0), min(bottom, H - 1)"
        "\n        w, h ="), {"pool-border"}),
    ("pool", "RoIs inside out are empty", changed(changed(POOL, "max(right - left + 1, 1)",
        "max(right - left + 1, 0)"), "max(bottom - top + 1, 1)", "max(bottom - top + 1, 0)"), {"pool-rounding"}),
    ("pool", "the cell that a bin begins in only", changed(POOL, "y1:y2, x1:x2", "y1 : y1 + 1, x1 : x1 + 1"),
        {"pool-shown", "pool-any"}),
    ("pool", "the RoIs scaled in place", changed(changed(POOL, "    n = output_size",
        "    n = output_size\n    rois[:, 1:] *= spatial_scale"), "float(v) * spatial_scale", "float(v)"),
        {"pool-any"}),
    ("back", "set, not added", changed(BACK, "+= gradient", "= gradient"), {"back-shown", "back-empty", "back-any"}),
    ("back", "added by fancy indices, which keep one of several", """
def roi_pool_backward(gradient, winners, pictures, shape):
    B, C, H, W = shape
    result = torch.zeros(B, C, H * W, dtype=gradient.dtype)
    for r in range(len(gradient)):
        for c in range(C):
            won = winners[r, c].flatten()
            here = won >= 0
            result[pictures[r], c, won[here]] += gradient[r, c].flatten()[here]
    return result.view(B, C, H, W)
""", {"back-empty", "back-any"}),
    ("back", "-1 taken as the last cell", changed(BACK, "if cell >= 0:", "if True:"), {"back-empty", "back-any"}),
    ("back", "cell 0 taken as a bin without cells", changed(BACK, "cell >= 0", "cell > 0"), {"back-empty"}),
    ("back", "all into the first picture", changed(BACK, "result[pictures[r], c", "result[0, c"),
        {"back-empty", "back-any"}),
    ("back", "rows and columns swapped", changed(BACK, "cell // W, cell % W", "cell % H, cell // H"),
        {"back-shown", "back-empty", "back-any"}),
    ("back", "divided by H, not by W", changed(BACK, "cell // W, cell % W", "cell // H, cell % H"), {"back-shown"}),
    ("back", "the mean of what a cell gets", """
def roi_pool_backward(gradient, winners, pictures, shape):
    B, C, H, W = shape
    total, count = torch.zeros(B, C, H * W), torch.zeros(B, C, H * W)
    for r, picture in enumerate(pictures):
        for c in range(C):
            for cell, given in zip(winners[r, c].flatten(), gradient[r, c].flatten()):
                if cell >= 0:
                    total[picture, c, cell] += given
                    count[picture, c, cell] += 1
    return (total / count.clamp(min=1)).view(B, C, H, W)
""", {"back-shown", "back-empty", "back-any"}),
    ("back", "1 for every win", changed(BACK, "+= gradient[r, c, i, j]", "+= 1"), {"back-shown", "back-any"}),
    ("back", "the first channel's winners for all", changed(BACK, "winners[r, c, i, j]", "winners[r, 0, i, j]"),
        {"back-any"}),
    ("back", "bin rows and columns of the gradient swapped", changed(BACK, "gradient[r, c, i, j]\n",
        "gradient[r, c, j, i]\n"), {"back-empty", "back-any"}),
    ("back", "a flat map", changed(BACK, "return result", "return result.flatten(2)"), {"back-shown"}),
    ("back", "the gradient of empty bins is set to 0 in place", changed(BACK, "    R, _, n, m",
        "    gradient[winners < 0] = 0\n    R, _, n, m"), {"back-any"}),
    ("smooth", "0.5 left out of the parabola", changed(SMOOTH, "small * 0.5 *", "small *"),
        {"smooth-shown", "smooth-any"}),
    ("smooth", "a straight line through 0", changed(SMOOTH, "(size - 0.5 * beta)", "size"),
        {"smooth-shown", "smooth-any"}),
    ("smooth", "the size forgotten in the line", changed(SMOOTH, "(size - 0.5 * beta)", "(difference - 0.5 * beta)"),
        {"smooth-shown", "smooth-any"}),
    ("smooth", "the size forgotten in the condition", changed(SMOOTH, "(size < beta)", "(difference < beta)"),
        {"smooth-shown", "smooth-any"}),
    ("smooth", "the two cases swapped", changed(SMOOTH, "size < beta", "size >= beta"),
        {"smooth-shown", "smooth-any"}),
    ("smooth", "summed", changed(SMOOTH, "return small * 0.5 * difference**2 / beta + (1 - small) * (size - 0.5 * "
        "beta)", "return (small * 0.5 * difference**2 / beta + (1 - small) * (size - 0.5 * beta)).sum()"),
        {"smooth-shown", "smooth-any"}),
    ("smooth", "beta ignored", changed(SMOOTH, "size = torch.abs", "beta = 1.0\n    size = torch.abs"),
        {"smooth-any"}),
    ("smooth", "Huber's loss, which is beta times as large", changed(changed(SMOOTH, " / beta", ""),
        "(size - 0.5 * beta)", "beta * (size - 0.5 * beta)"), {"smooth-any"}),
    ("smooth", "no gradient", changed(SMOOTH, "return small", "difference, size = difference.detach(), size.detach()"
        "\n    return small"), {"smooth-any"}),
    ("smooth", "only the line has a gradient", changed(SMOOTH, "difference**2", "difference.detach() ** 2"),
        {"smooth-any"}),
    ("loss", "regression over the objects only", changed(LOSS, "* regression / R",
        "* regression / max(1, int((labels > 0).sum()))"), {"loss-shown", "loss-any", "loss-edges"}),
    ("loss", "regression not divided at all", changed(LOSS, "* regression / R", "* regression"),
        {"loss-shown", "loss-any"}),
    ("loss", "mean of the four offsets", changed(LOSS, "x - 0.5).sum()", "x - 0.5).mean()"),
        {"loss-shown", "loss-any"}),
    ("loss", "background's box counts", changed(LOSS, "if u >= 1:", "if True:"), {"loss-shown", "loss-edges"}),
    ("loss", "class u read at index u", changed(LOSS, "offsets[r, u - 1]", "offsets[r, min(u, offsets.shape[1] - 1)]"),
        {"loss-any"}),
    ("loss", "the offsets of the best-scored class", changed(LOSS, "offsets[r, u - 1]",
        "offsets[r, int(scores[r, 1:].argmax())]"), {"loss-shown", "loss-any"}),
    ("loss", "all classes' offsets", changed(LOSS, "offsets[r, u - 1] - targets", "offsets[r] - targets"),
        {"loss-shown", "loss-any"}),
    ("loss", "lambda left out", changed(LOSS, "regression_weight * regression", "regression"), {"loss-any"}),
    ("loss", "lambda weighs the class, too", changed(LOSS, '"classification": classification',
        '"classification": regression_weight * classification'), {"loss-any"}),
    ("loss", "the sum of the log losses", changed(LOSS, "labels].mean()", "labels].sum()"),
        {"loss-shown", "loss-any"}),
    ("loss", "the sign forgotten", changed(LOSS, "-log_p", "log_p"), {"loss-shown", "loss-any"}),
    ("loss", "softmax twice", changed(LOSS, "torch.log_softmax(scores, dim=1)",
        "torch.log_softmax(scores.softmax(1), dim=1)"), {"loss-shown", "loss-any"}),
    ("loss", "softmax over the RoIs", changed(LOSS, "dim=1)", "dim=0)"), {"loss-shown", "loss-any"}),
    ("loss", "exp overflows", changed(LOSS, "torch.log_softmax(scores, dim=1)",
        "(scores.exp() / scores.exp().sum(1, keepdim=True)).log()"), {"loss-edges"}),
    ("loss", "nan times 0 is nan", """
def multi_task_loss(scores, offsets, labels, targets, regression_weight=1.0):
    rows = torch.arange(len(labels))
    is_object = (labels >= 1).to(offsets.dtype)
    x = (offsets[rows, (labels - 1).clamp(min=0)] - targets).abs()
    box = torch.where(x < 1, 0.5 * x**2, x - 0.5).sum(dim=1) * is_object
    return {"classification": F.cross_entropy(scores, labels), "regression": regression_weight * box.mean()}
""", {"loss-edges"}),
    ("loss", "no gradient", changed(LOSS, "R = len(labels)", "R = len(labels)\n    offsets, scores = "
        "offsets.detach(), scores.detach()"), {"loss-edges"}),
    ("loss", "squared error", changed(LOSS, "torch.where(x < 1, 0.5 * x**2, x - 0.5)", "(0.5 * x**2)"),
        {"loss-shown", "loss-any"}),
    ("loss", "absolute error", changed(LOSS, "torch.where(x < 1, 0.5 * x**2, x - 0.5)", "x"),
        {"loss-shown", "loss-any"}),
    ("loss", "a tuple", changed(LOSS, 'return {"classification": classification, "regression": '
        "regression_weight * regression / R}", "return classification, regression_weight * regression / R"),
        {"loss-shown"}),
    ("sample", "more than 0.5", changed(SAMPLE, "best_iou[i] >= 0.5", "best_iou[i] > 0.5"), {"sample-counts"}),
    ("sample", "no lower limit for background", changed(SAMPLE, "0.1 <= best_iou[i] < 0.5", "best_iou[i] < 0.5"),
        {"sample-shown", "sample-counts"}),
    ("sample", "0.1 itself left out", changed(SAMPLE, "0.1 <= best_iou", "0.1 < best_iou"), {"sample-counts"}),
    ("sample", "0.5 counts as background", changed(SAMPLE, "best_iou[i] < 0.5", "best_iou[i] <= 0.5"),
        {"sample-counts"}),
    ("sample", "a quarter for each kind", changed(SAMPLE, "size - len(foreground)", "most"), {"sample-shown"}),
    ("sample", "48 background, however few objects", changed(SAMPLE, "size - len(foreground)", "size - most"),
        {"sample-counts"}),
    ("sample", "all foreground", changed(SAMPLE, "[:most]", ""), {"sample-shown", "sample-counts"}),
    ("sample", "filled up with foreground", changed(SAMPLE, "    return", "    missing = size - len(foreground) - "
        "len(background)\n    foreground += [i for i in order if best_iou[i] >= 0.5][most : most + missing]\n"
        "    return"), {"sample-counts"}),
    ("sample", "the first of each kind", changed(SAMPLE, "torch.randperm(len(best_iou), generator=generator).tolist()",
        "range(len(best_iou))"), {"sample-random"}),
    ("sample", "the best of each kind", changed(SAMPLE,
        "torch.randperm(len(best_iou), generator=generator).tolist()",
        "best_iou.argsort(descending=True, stable=True).tolist()"), {"sample-random"}),
    ("sample", "another generator", changed(SAMPLE, ", generator=generator)", ")"), {"sample-random"}),
    ("sample", "the same seed at every call", changed(SAMPLE, "    order =",
        "    generator.manual_seed(0)\n    order ="), {"sample-random"}),
    ("sample", "with repetition", """
def sample_rois(best_iou, generator, size=64, foreground_fraction=0.25):
    foreground = torch.where(best_iou >= 0.5)[0]
    background = torch.where((best_iou >= 0.1) & (best_iou < 0.5))[0]
    most = min(len(foreground), round(size * foreground_fraction))
    left = min(len(background), size - most)
    if most:
        foreground = foreground[torch.randint(len(foreground), (most,), generator=generator)]
    if left:
        background = background[torch.randint(len(background), (left,), generator=generator)]
    return foreground[:most], background[:left]
""", {"sample-shown", "sample-random"}),
    ("sample", "rows among the background, not among all", changed(SAMPLE, "    return torch.tensor(foreground",
        "    rows = [i for i in range(len(best_iou)) if 0.1 <= best_iou[i] < 0.5]\n"
        "    background = [rows.index(i) for i in background]\n    return torch.tensor(foreground"), {"sample-shown"}),
    ("sample", "IoUs instead of rows", changed(SAMPLE, "torch.tensor(foreground, dtype=torch.int64)",
        "best_iou[foreground]"), {"sample-shown"}),
    ("sample", "one list", changed(SAMPLE,
        "torch.tensor(foreground, dtype=torch.int64), torch.tensor(background, dtype=torch.int64)",
        "torch.tensor(foreground + background)"), {"sample-shown"}),
    ("sample", "64, whatever the size", changed(SAMPLE, "    order =", "    size = 64\n    order ="),
        {"sample-counts"}),
]  # fmt: skip

RIGHT = [
    ("pool", "in loops", POOL),
    ("pool", "in double precision", changed(POOL, "n = output_size", "n, features = output_size, features.double()")),
    ("pool", "torchvision's", """
def roi_pool(features, rois, output_size, spatial_scale=1.0):
    return torchvision.ops.roi_pool(features, rois, output_size, spatial_scale)
"""),
    ("pool", "a mask of cells for each bin", """
def roi_pool(features, rois, output_size, spatial_scale=1.0):
    n, (H, W) = output_size, features.shape[2:]
    corners = rois[:, 1:] * spatial_scale
    corners = torch.sign(corners) * (corners.abs() + 0.5).floor()
    index = torch.arange(n)
    masks = []
    for axis, cells in ((1, H), (0, W)):
        low = corners[:, axis, None]
        size = (corners[:, axis + 2, None] - low + 1).clamp(min=1)
        start, stop = low + (index * size / n).floor(), low + ((index + 1) * size / n).ceil()
        cell = torch.arange(cells)
        masks.append((cell >= start[..., None]) & (cell < stop[..., None]))
    inside = masks[0][:, :, None, :, None] & masks[1][:, None, :, None, :]
    maps = features[rois[:, 0].long()][:, :, None, None]
    best = maps.masked_fill(~inside[:, None], -math.inf).amax(dim=(-2, -1))
    return torch.where(torch.isinf(best), torch.zeros_like(best), best)
"""),
    ("back", "in loops", BACK),
    ("back", "in double precision", changed(BACK, "dtype=gradient.dtype", "dtype=torch.float64")),
    ("back", "all at once", """
def roi_pool_backward(gradient, winners, pictures, shape):
    B, C, H, W = shape
    plane = pictures[:, None] * C + torch.arange(C)
    cell = plane[:, :, None, None] * (H * W) + winners
    result = torch.zeros(B * C * H * W)
    result.index_put_((cell[winners >= 0],), gradient[winners >= 0], accumulate=True)
    return result.view(B, C, H, W)
"""),
    ("smooth", "a sum of two cases", SMOOTH),
    ("smooth", "in place of where: clamp", """
def smooth_l1(difference, beta=1.0):
    size = difference.abs()
    inner = size.clamp(max=beta)
    return 0.5 * inner**2 / beta + (size - inner)
"""),
    ("smooth", "in double precision", changed(SMOOTH, "size = torch", "difference = difference.double()\n    "
        "size = torch")),
    ("loss", "in a loop", LOSS),
    ("loss", "in double precision", changed(LOSS, "R = len(labels)", "R, scores, offsets = len(labels), "
        "scores.double(), offsets.double()")),
    ("loss", "a mask", """
def multi_task_loss(scores, offsets, labels, targets, regression_weight=1.0):
    one_hot = F.one_hot(labels, scores.shape[1])[:, 1:].bool()  # (R, K)
    wanted = targets[:, None].expand_as(offsets)
    x = offsets[one_hot] - wanted[one_hot]
    box = F.huber_loss(x, torch.zeros_like(x), reduction="sum") / scores.shape[0]
    return {"classification": F.nll_loss(scores.log_softmax(1), labels), "regression": box * regression_weight}
"""),
    ("sample", "one permutation for both", SAMPLE),
    ("sample", "lists", changed(SAMPLE,
        "torch.tensor(foreground, dtype=torch.int64), torch.tensor(background, dtype=torch.int64)",
        "foreground, sorted(background)")),
    ("sample", "random numbers, sorted", """
def sample_rois(best_iou, generator, size=64, foreground_fraction=0.25):
    dice = torch.rand(len(best_iou), generator=generator)
    drawn = []
    for kind, most in ((best_iou >= 0.5, round(size * foreground_fraction)),
                       ((best_iou >= 0.1) & (best_iou < 0.5), size)):
        rows = torch.where(kind)[0]
        rows = rows[dice[rows].argsort()]
        drawn.append(rows[: min(most, size - sum(len(d) for d in drawn))])
    return drawn[0], drawn[1]
"""),
]  # fmt: skip
