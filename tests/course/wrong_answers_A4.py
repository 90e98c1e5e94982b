"""Typical wrong answers to A4: exercise, mistake, code, tests that must fail. And right ones that look different."""

from wrong_answers_A1 import changed

BINS = """
import math
def level_bins(length, n):
    bins = []
    for i in range(n):
        start = math.floor(i * length / n)
        stop = math.ceil((i + 1) * length / n)
        bins.append((start, stop))
    return bins
"""
POOL = """
import math
def spatial_pyramid_pool(features, cells, levels):
    answer = []
    for n in levels:
        windows = []
        for x1, y1, x2, y2 in cells.tolist():
            window = features[0, :, y1 : y2 + 1, x1 : x2 + 1]
            h, w = window.shape[1:]
            rows = []
            for i in range(n):
                for j in range(n):
                    top, bottom = math.floor(i * h / n), math.ceil((i + 1) * h / n)
                    left, right = math.floor(j * w / n), math.ceil((j + 1) * w / n)
                    rows.append(window[:, top:bottom, left:right].flatten(1).max(dim=1).values)
            windows.append(torch.stack(rows, dim=1).view(-1, n, n))
        answer.append(torch.stack(windows) if windows else torch.zeros(0, features.shape[1], n, n))
    return answer
"""
FIELD = """
def receptive_field(layers):
    side, stride, middle = 1, 1, 0.5
    for k, s, p in layers:
        side = side + (k - 1) * stride
        middle = middle + ((k - 1) / 2 - p) * stride
        stride = stride * s
    return side, stride, middle
"""
WINDOW = """
import math
def window_to_cells(boxes, stride, map_size, offset=0.0):
    rows, columns = map_size
    answer = []
    for x1, y1, x2, y2 in boxes.tolist():
        ends = []
        for low, high, count in ((x1, x2, columns), (y1, y2, rows)):
            first = math.floor((low - offset) / stride) + 1
            last = math.ceil((high - offset) / stride) - 1
            if last < first:
                first = last = round(((low + high) / 2 - offset) / stride)
            ends.append((min(max(first, 0), count - 1), min(max(last, 0), count - 1)))
        answer.append([ends[0][0], ends[1][0], ends[0][1], ends[1][1]])
    return torch.tensor(answer, dtype=torch.int64).reshape(-1, 4)
"""
SCALE = """
def choose_scale(boxes, factors, view=224):
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    distances = torch.stack([(areas * f * f - view * view).abs() for f in factors], dim=1)
    return distances.argmin(dim=1)
"""

WRONG = [
    ("bins", "floor for the end, too", changed(BINS, "math.ceil", "math.floor"), {"bins-shown", "bins-any"}),
    ("bins", "ceil for the start, too", changed(BINS, "math.floor", "math.ceil"), {"bins-shown", "bins-any"}),
    ("bins", "rounded to the nearest", changed(changed(BINS, "math.floor", "round"), "math.ceil", "round"),
        {"bins-shown", "bins-any"}),
    ("bins", "the last cell inclusive", changed(BINS, "(start, stop))", "(start, stop - 1))"), {"bins-shown"}),
    ("bins", "section 2.3's sliding window", changed(changed(BINS, "math.floor(i * length / n)", "i * (length // n)"),
        "math.ceil((i + 1) * length / n)", "start + math.ceil(length / n)"), {"bins-any"}),
    ("bins", "equal steps, the rest to the last bin",
        changed(changed(BINS, "math.floor(i * length / n)", "i * (length // n)"), "math.ceil((i + 1) * length / n)",
            "(i + 1) * (length // n) if i < n - 1 else length"), {"bins-shown", "bins-any"}),
    ("bins", "bins counted from 1, as the paper does", changed(BINS, "range(n)", "range(1, n + 1)"), {"bins-shown"}),
    ("bins", "no more bins than cells", changed(BINS, "bins = []", "bins, n = [], min(n, length)"), {"bins-any"}),
    ("bins", "each begins where the last one ended", changed(BINS, "start = math.floor(i * length / n)",
        "start = bins[-1][1] if bins else 0"), {"bins-shown", "bins-any"}),
    ("pool", "the mean", changed(POOL, ".max(dim=1).values", ".mean(dim=1)"), {"pool-shown", "pool-any"}),
    ("pool", "the right and bottom ends left out", changed(POOL, "y1 : y2 + 1, x1 : x2 + 1", "y1 : max(y2, y1 + 1), "
        "x1 : max(x2, x1 + 1)"), {"pool-shown", "pool-any"}),
    ("pool", "x and y swapped", changed(POOL, "for x1, y1, x2, y2", "for y1, x1, y2, x2"), {"pool-shown"}),
    ("pool", "bin rows and columns swapped", changed(POOL, "torch.stack(rows, dim=1).view(-1, n, n)",
        "torch.stack(rows, dim=1).view(-1, n, n).transpose(1, 2)"), {"pool-any"}),
    ("pool", "finest level first, whatever was asked for", changed(POOL, "for n in levels:",
        "for n in sorted(levels, reverse=True):"), {"pool-any"}),
    ("pool", "the maximum begins at 0", changed(POOL, ".max(dim=1).values", ".max(dim=1).values.clamp(min=0)"),
        {"pool-any", "pool-edges"}),
    ("pool", "bins of the whole map", changed(POOL, "window = features[0, :, y1 : y2 + 1, x1 : x2 + 1]",
        "window = features[0]"), {"pool-shown", "pool-any"}),
    ("pool", "bins that do not overlap", changed(POOL, "math.ceil", "math.floor"), {"pool-shown"}),
    ("pool", "one vector", changed(POOL, "return answer",
        "return torch.cat([level.flatten(1) for level in answer], dim=1)"), {"pool-shown"}),
    ("pool", "channels last", changed(POOL, "torch.stack(rows, dim=1).view(-1, n, n)",
        "torch.stack(rows).view(n, n, -1)"), {"pool-shown", "pool-any"}),
    ("pool", "the channels' maximum", changed(POOL, ".flatten(1).max(dim=1).values",
        ".max().expand(len(window))"), {"pool-any"}),
    ("pool", "the map is clamped in place", changed(POOL, "answer = []", "answer = []\n    features += 1e-3"),
        {"pool-edges"}),
    ("pool", "crashes without windows", changed(POOL,
        "torch.stack(windows) if windows else torch.zeros(0, features.shape[1], n, n)", "torch.stack(windows)"),
        {"pool-edges"}),
    ("field", "kernels, not kernels less one", changed(FIELD, "side + (k - 1) * stride", "side + k * stride"),
        {"field-shown", "field-stacks"}),
    ("field", "the stride of this layer counts for its own kernel", """
def receptive_field(layers):
    side, stride, middle = 1, 1, 0.5
    for k, s, p in layers:
        stride = stride * s
        side = side + (k - 1) * stride
        middle = middle + ((k - 1) / 2 - p) * stride
    return side, stride, middle
""", {"field-shown", "field-stacks"}),
    ("field", "strides left out of the side", changed(FIELD, "side + (k - 1) * stride", "side + (k - 1)"),
        {"field-stacks", "field-gradient"}),
    ("field", "strides added up", changed(FIELD, "stride * s", "stride + s - 1"), {"field-stacks", "field-gradient"}),
    ("field", "padding left out", changed(FIELD, "(k - 1) / 2 - p", "(k - 1) / 2"), {"field-shown", "field-gradient"}),
    ("field", "padding makes the field smaller", changed(FIELD, "(k - 1) * stride", "(k - 1 - p) * stride"),
        {"field-shown", "field-gradient"}),
    ("field", "the first pixel's index, not its middle", changed(FIELD, "1, 1, 0.5", "1, 1, 0"), {"field-shown"}),
    ("field", "middle in whole pixels", changed(FIELD, "(k - 1) / 2", "(k - 1) // 2"), {"field-shown", "field-stacks"}),
    ("field", "middle at half a kernel", changed(FIELD, "(k - 1) / 2", "k / 2"), {"field-shown", "field-gradient"}),
    ("field", "last layer first", changed(FIELD, "in layers:", "in layers[::-1]:"), {"field-shown", "field-stacks"}),
    ("field", "kernel and stride swapped", changed(FIELD, "for k, s, p", "for s, k, p"), {"field-shown"}),
    ("window", "+ 1 left out", changed(WINDOW, "/ stride) + 1", "/ stride)"), {"window-shown", "window-any"}),
    ("window", "- 1 left out", changed(WINDOW, "/ stride) - 1", "/ stride)"), {"window-shown", "window-any"}),
    ("window", "rounded to the nearest",
        changed(changed(WINDOW, "math.floor((low - offset) / stride) + 1", "round((low - offset) / stride)"),
            "math.ceil((high - offset) / stride) - 1", "round((high - offset) / stride)"), {"window-any"}),
    ("window", "ceil of the left edge: middles on the edge count",
        changed(WINDOW, "math.floor((low - offset) / stride) + 1", "math.ceil((low - offset) / stride)"),
        {"window-any"}),
    ("window", "floor of the right edge: middles on the edge count",
        changed(WINDOW, "math.ceil((high - offset) / stride) - 1", "math.floor((high - offset) / stride)"),
        {"window-any"}),
    ("window", "every cell that the window touches",
        changed(changed(WINDOW, "/ stride) + 1", "/ stride)"), "math.ceil((high - offset) / stride) - 1",
            "math.floor((high - offset) / stride)"), {"window-shown", "window-any"}),
    ("window", "the right end exclusive", changed(WINDOW, "ends[0][1], ends[1][1]]",
        "ends[0][1] + 1, ends[1][1] + 1]"), {"window-shown"}),
    ("window", "rows before columns", changed(WINDOW, "[ends[0][0], ends[1][0], ends[0][1], ends[1][1]]",
        "[ends[1][0], ends[0][0], ends[1][1], ends[0][1]]"), {"window-shown"}),
    ("window", "both columns first", changed(WINDOW, "[ends[0][0], ends[1][0], ends[0][1], ends[1][1]]",
        "[*ends[0], *ends[1]]"), {"window-shown"}),
    ("window", "map size taken as columns, rows", changed(WINDOW, "rows, columns = map_size",
        "columns, rows = map_size"), {"window-shown", "window-border"}),
    ("window", "offset left out", changed(WINDOW, "answer = []", "answer, offset = [], 0.0"), {"window-any"}),
    ("window", "offset added", changed(WINDOW, "answer = []", "answer, offset = [], -offset"), {"window-any"}),
    ("window", "offset in cells", changed(WINDOW, " - offset) / stride", " / stride - offset)"), {"window-any"}),
    ("window", "first and last may cross", changed(WINDOW, "if last < first:", "if False:"), {"window-small"}),
    ("window", "last only brought up to first",
        changed(WINDOW, "first = last = round(((low + high) / 2 - offset) / stride)", "last = first"),
        {"window-small"}),
    ("window", "the nearest without the offset", changed(WINDOW, "((low + high) / 2 - offset)", "((low + high) / 2)"),
        {"window-small"}),
    ("window", "the cell that the middle lies in, not the nearest", changed(WINDOW, "round(", "math.floor("),
        {"window-small"}),
    ("window", "narrow in one axis, one cell in both", """
def window_to_cells(boxes, stride, map_size, offset=0.0):
    limit = torch.tensor([map_size[1] - 1, map_size[0] - 1])
    first = ((boxes[:, :2] - offset) / stride).floor() + 1
    last = ((boxes[:, 2:] - offset) / stride).ceil() - 1
    empty = (last < first).any(dim=1, keepdim=True)
    middle = (((boxes[:, :2] + boxes[:, 2:]) / 2 - offset) / stride).round()
    first, last = torch.where(empty, middle, first), torch.where(empty, middle, last)
    return torch.cat([first.clamp(min=0).minimum(limit), last.clamp(min=0).minimum(limit)], dim=1).long()
""", {"window-small"}),
    ("window", "not limited to the map", changed(WINDOW,
        "(min(max(first, 0), count - 1), min(max(last, 0), count - 1))", "(first, last)"), {"window-border"}),
    ("window", "one past the last cell", changed(WINDOW, "count - 1", "count"), {"window-border"}),
    ("window", "only the outer ends limited", changed(WINDOW,
        "(min(max(first, 0), count - 1), min(max(last, 0), count - 1))", "(max(first, 0), min(last, count - 1))"),
        {"window-border"}),
    ("window", "the offset is subtracted in place", changed(WINDOW, "answer = []",
        "answer = []\n    boxes -= offset\n    offset = 0.0"), {"window-border"}),
    ("scale", "the factor not squared", changed(SCALE, "areas * f * f", "areas * f"), {"scale-shown", "scale-any"}),
    ("scale", "sides instead of pixels", changed(SCALE, "(areas * f * f - view * view)",
        "(areas.sqrt() * f - view)"), {"scale-any"}),
    ("scale", "the longer side", changed(SCALE, "(areas * f * f - view * view)",
        "((boxes[:, 2:] - boxes[:, :2]).amax(1) * f - view)"), {"scale-any"}),
    ("scale", "the width", changed(SCALE, "(areas * f * f - view * view)",
        "((boxes[:, 2] - boxes[:, 0]) * f - view)"), {"scale-any"}),
    ("scale", "the first that is at least as large",
        changed(SCALE, "(areas * f * f - view * view).abs()", "(areas * f * f < view * view).int()"),
        {"scale-shown", "scale-any"}),
    ("scale", "no absolute value", changed(SCALE, ".abs()", ""), {"scale-shown", "scale-any"}),
    ("scale", "the ratio of the areas",
        changed(SCALE, "(areas * f * f - view * view).abs()", "(areas * f * f / (view * view)).log().abs()"),
        {"scale-any"}),
    ("scale", "always 224", changed(SCALE, "view * view", "224 * 224"), {"scale-any"}),
    ("scale", "the factor instead of its index", changed(SCALE, "return distances.argmin(dim=1)",
        "return torch.tensor(factors)[distances.argmin(dim=1)]"), {"scale-shown", "scale-any"}),
    ("scale", "one scale for all windows", changed(SCALE, "distances.argmin(dim=1)",
        "distances.sum(dim=0).argmin().expand(len(boxes))"), {"scale-shown"}),
    ("scale", "boxes taken as x, y, width, height",
        changed(SCALE, "(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])", "boxes[:, 2] * boxes[:, 3]"),
        {"scale-shown", "scale-any"}),
]  # fmt: skip

RIGHT = [
    ("bins", "floor and ceil of fractions", BINS),
    ("bins", "bins of equal width as a number", changed(changed(BINS, "i * length / n", "i * (length / n)"),
        "(i + 1) * length / n", "(i + 1) * (length / n)")),
    ("bins", "a tensor", """
def level_bins(length, n):
    i = torch.arange(n)
    return torch.stack([(i * length / n).floor(), ((i + 1) * length / n).ceil()], dim=1).long()
"""),
    ("pool", "bins anew", POOL),
    ("pool", "in double precision", changed(POOL, "answer = []", "answer, features = [], features.double()")),
    ("pool", "PyTorch's adaptive pooling", """
def spatial_pyramid_pool(features, cells, levels):
    answer = [features.new_empty(len(cells), features.shape[1], n, n) for n in levels]
    for r, (x1, y1, x2, y2) in enumerate(cells):
        for n, level in zip(levels, answer):
            level[r] = F.adaptive_max_pool2d(features[0, :, y1 : y2 + 1, x1 : x2 + 1], n)
    return answer
"""),
    ("pool", "torchvision's RoI pooling, a tuple", """
import torchvision
def spatial_pyramid_pool(features, cells, levels):
    return tuple(torchvision.ops.roi_pool(features, [cells.to(features.dtype)], n) for n in levels)
"""),
    ("field", "the same, written otherwise", FIELD),
    ("field", "from the top down", """
def receptive_field(layers):
    first, last, stride = 0, 0, 1
    for k, s, p in reversed(layers):
        first, last, stride = first * s - p, last * s - p + k - 1, stride * s
    return last - first + 1, stride, (first + last + 1) / 2
"""),
    ("field", "a tensor", changed(FIELD, "return side, stride, middle", "return torch.tensor([side, stride, middle])")),
    ("window", "in loops", WINDOW),
    ("window", "ties upwards", changed(WINDOW, "round(((low + high) / 2 - offset) / stride)",
        "math.floor(((low + high) / 2 - offset) / stride + 0.5)")),
    ("window", "middles counted", """
def window_to_cells(boxes, stride, map_size, offset=0.0):
    answer = torch.zeros(len(boxes), 4, dtype=torch.int64)
    for r, box in enumerate(boxes.double()):
        for axis in (0, 1):
            low, high = box[axis], box[axis + 2]
            middles = torch.arange(-200, 200) * stride + offset
            inside = torch.where((middles > low) & (middles < high))[0] - 200
            if len(inside) == 0:
                inside = (middles - (low + high) / 2).abs().argmin()[None] - 200
            answer[r, axis], answer[r, axis + 2] = inside.min(), inside.max()
            answer[r, axis::2].clamp_(0, map_size[1 - axis] - 1)
    return answer
"""),
    ("scale", "a column a scale", SCALE),
    ("scale", "in loops, a list", """
def choose_scale(boxes, factors, view=224):
    answer = []
    for x1, y1, x2, y2 in boxes.double().tolist():
        distances = [abs((x2 - x1) * f * (y2 - y1) * f - view**2) for f in factors]
        answer.append(distances.index(min(distances)))
    return answer
"""),
]  # fmt: skip
