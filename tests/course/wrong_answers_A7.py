"""Typical wrong answers to A7: exercise, mistake, code, tests that must fail. And right ones that look different."""

from wrong_answers_A1 import changed

SLOW = {"data", "training", "train-first", "train-second"}  # cells that train

RPN = """
class RPNHead(nn.Module):
    def __init__(self, channels, num_anchors, settings):
        super().__init__()
        d, hidden = settings.dilation, settings.channels
        self.k = num_anchors
        self.conv = nn.Conv2d(channels, hidden, kernel_size=3, padding=d, dilation=d)
        self.both = nn.Conv2d(hidden, 6 * num_anchors, kernel_size=1)
        for layer in (self.conv, self.both):
            layer.weight.data = torch.randn(layer.weight.shape) * settings.std
            layer.bias.data.zero_()

    def forward(self, features):
        B, _, h, w = features.shape
        x = torch.relu(self.conv(features))
        out = self.both(x).view(B, self.k, 6, h, w).permute(0, 3, 4, 1, 2).reshape(B, h * w * self.k, 6)
        return out[..., :2], out[..., 2:]
"""
HEAD = """
class RoIHead(nn.Module):
    def __init__(self, fc, features, num_classes, settings):
        super().__init__()
        self.fc = fc
        self.K = num_classes
        self.cls = nn.Linear(features, num_classes + 1)
        self.box = nn.ModuleList(nn.Linear(features, 4) for _ in range(num_classes))
        nn.init.normal_(self.cls.weight, 0, settings.class_std)
        nn.init.constant_(self.cls.bias, 0)
        for layer in self.box:
            nn.init.normal_(layer.weight, 0, settings.offset_std)
            nn.init.constant_(layer.bias, 0)

    def forward(self, pooled):
        x = self.fc(pooled)
        scores = self.cls(x)
        return scores, torch.stack([layer(x) for layer in self.box], dim=1)
"""
LOSSES = """
def losses(network, images, targets, generator):
    s = network.settings
    _, H, W = images[0].shape
    features = network.convolve(images)
    h, w = features.shape[2:]
    anchors = network.anchors(features)
    scores, offsets = network.rpn(features)
    objectness = rpn_regression = 0
    rois, labels, goals = [], [], []
    for b in range(len(images)):
        truth, classes = targets[b]["boxes"], targets[b]["labels"]
        kind, wanted = rpn_targets(anchors, truth, (H, W), s.rpn)
        two = rpn_loss(scores[b], offsets[b], kind, wanted, h * w, s.rpn, generator)
        objectness = objectness + two["objectness"] / len(images)
        rpn_regression = rpn_regression + two["rpn_regression"] / len(images)
        with torch.no_grad():
            boxes, _ = select_proposals(scores[b], offsets[b], anchors, (H, W), s.rpn, training=True)
        boxes = torch.cat([boxes, truth])
        rows = []
        for box in boxes:
            iou = box_iou(box[None], truth)[0]
            best = int(iou.argmax()) if len(truth) else -1
            value = float(iou[best]) if len(truth) else 0.0
            front = value >= s.foreground_iou
            back = s.background_iou[0] <= value < s.background_iou[1]
            rows.append((1 if front else 0 if back else -1, best))
        kind = torch.tensor([row[0] for row in rows])
        front, back = sample_balanced(kind, s.rois_per_image, s.foreground_fraction, generator)
        for i in front.tolist():
            best = rows[i][1]
            rois.append(torch.cat([torch.tensor([float(b)]), boxes[i]]))
            labels.append(int(classes[best]))
            goals.append(encode_boxes(truth[best][None], boxes[i][None])[0] / torch.tensor(s.target_stds))
        for i in back.tolist():
            rois.append(torch.cat([torch.tensor([float(b)]), boxes[i]]))
            labels.append(0)
            goals.append(torch.zeros(4))
    pooled = roi_pool(features, torch.stack(rois), network.pool_size, 1 / network.stride)
    cls, box = network.head(pooled)
    two = multi_task_loss(cls, box, torch.tensor(labels), torch.stack(goals), s.regression_weight)
    return {
        "objectness": objectness,
        "rpn_regression": rpn_regression,
        "classification": two["classification"],
        "regression": two["regression"],
    }
"""
DETECT = """
@torch.no_grad()
def detect(network, image):
    s = network.settings
    H, W = image.shape[1], image.shape[2]
    features = network.convolve([image])
    anchors = network.anchors(features)
    scores, offsets = network.rpn(features)
    proposals, _ = select_proposals(scores[0], offsets[0], anchors, (H, W), s.rpn, training=False)
    rois = F.pad(proposals, (1, 0))
    cls, box = network.head(roi_pool(features, rois, network.pool_size, 1 / network.stride))
    p = F.softmax(cls, dim=1)
    K = p.shape[1] - 1
    found = []
    for k in range(1, K + 1):
        rows = torch.where(p[:, k] > s.score_threshold)[0]
        if len(rows) == 0:
            continue
        moved = decode_boxes(box[rows, k - 1] * torch.tensor(s.target_stds), proposals[rows])
        moved = torch.minimum(moved.clamp(min=0), torch.tensor([W, H, W, H]))
        for i in nms(moved, p[rows, k], s.nms_iou):
            found.append((float(p[rows[i], k]), k, moved[i].tolist()))
    found.sort(key=lambda d: -d[0])
    found = found[: s.max_detections]
    return {
        "boxes": torch.tensor([d[2] for d in found]).reshape(-1, 4),
        "scores": torch.tensor([d[0] for d in found]),
        "labels": torch.tensor([d[1] for d in found], dtype=torch.int64),
    }
"""
TRAIN = """
def train_network(network, pictures, steps, seed):
    g = torch.Generator().manual_seed(seed)
    opt = torch.optim.AdamW(
        [p for p in network.parameters() if p.requires_grad], lr=SOLVER.learning_rate, weight_decay=0.01
    )
    def rate(step):
        warm = min(1.0, (step + 1) / (SOLVER.warmup + 1))
        return warm * 0.5 * (1 + math.cos(math.pi * step / steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(opt, rate)
    sums, waiting = [], []
    for step in range(steps):
        images, targets = [], []
        for _ in range(4):
            if not waiting:
                waiting = torch.randperm(len(pictures), generator=g).tolist()
            image, target = pictures[waiting.pop()]
            boxes = target["boxes"].clone()
            if torch.rand(1, generator=g).item() < 0.5:
                image = torch.flip(image, dims=[2])
                W = image.shape[2]
                boxes[:, 0], boxes[:, 2] = W - target["boxes"][:, 2], W - target["boxes"][:, 0]
            images.append(image)
            targets.append({"boxes": boxes, "labels": target["labels"]})
        parts = losses(network, images, targets, g)
        loss = torch.stack(list(parts.values())).sum()
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), SOLVER.clip)
        opt.step()
        schedule.step()
        sums.append(loss.item())
    return sums
"""

WRONG = [
    ("rpn", "no permutation before the reshape", changed(RPN, ".view(B, self.k, 6, h, w).permute(0, 3, 4, 1, 2)", ""),
        {"rpn-shown"}),
    ("rpn", "columns before rows", changed(RPN, "permute(0, 3, 4, 1, 2)", "permute(0, 4, 3, 1, 2)"),
        {"rpn-shown", "rpn-weights"}),
    ("rpn", "all cells of the first anchor, then of the second", changed(RPN, "permute(0, 3, 4, 1, 2)",
        "permute(0, 1, 3, 4, 2)"), {"rpn-shown", "rpn-weights"}),
    ("rpn", "no ReLU", changed(RPN, "torch.relu(self.conv(features))", "self.conv(features)"), {"rpn-layers"}),
    ("rpn", "a ReLU at the end", changed(RPN, "out = self.both(x)", "out = self.both(x).relu()"), {"rpn-layers"}),
    ("rpn", "a softmax in the head", changed(RPN, "return out[..., :2]", "return out[..., :2].softmax(-1)"),
        {"rpn-shown", "rpn-layers"}),
    ("rpn", "dilation left out", changed(RPN, "padding=d, dilation=d", "padding=1"), {"rpn-weights"}),
    ("rpn", "padding 1, whatever the dilation", changed(RPN, "padding=d, dilation", "padding=1, dilation"),
        {"rpn-weights"}),
    ("rpn", "no padding", changed(RPN, "padding=d, ", ""), {"rpn-shown"}),
    ("rpn", "PyTorch's own initial weights", changed(RPN,
        "layer.weight.data = torch.randn(layer.weight.shape) * settings.std", "pass"), {"rpn-weights"}),
    ("rpn", "biases left as they were", changed(RPN, "layer.bias.data.zero_()", "pass"), {"rpn-shown", "rpn-weights"}),
    ("rpn", "a variance in place of a standard deviation", changed(RPN, "* settings.std", "* settings.std**0.5"),
        {"rpn-weights"}),
    ("rpn", "512 channels", changed(RPN, "settings.dilation, settings.channels", "settings.dilation, 512"),
        {"rpn-weights"}),
    ("rpn", "1 x 1 in place of 3 x 3", changed(RPN, "kernel_size=3, padding=d, dilation=d", "kernel_size=1"),
        {"rpn-shown", "rpn-weights"}),
    ("rpn", "one anchor's numbers for all", changed(changed(RPN, "6 * num_anchors", "6"),
        "view(B, self.k, 6, h, w)", "view(B, 1, 6, h, w).expand(-1, self.k, -1, -1, -1)"), {"rpn-layers"}),
    ("rpn", "the two results swapped", changed(RPN, "return out[..., :2], out[..., 2:]",
        "return out[..., 2:], out[..., :2]"), {"rpn-shown"}),
    ("rpn", "the pictures of a minibatch in one row", changed(RPN, "reshape(B, h * w * self.k, 6)",
        "reshape(1, -1, 6)"), {"rpn-layers"}),
    ("head", "no background", changed(HEAD, "num_classes + 1", "num_classes"), {"head-shown"}),
    ("head", "one box for all classes", changed(HEAD, "torch.stack([layer(x) for layer in self.box], dim=1)",
        "self.box[0](x)"), {"head-shown"}),
    ("head", "offsets in one row", changed(HEAD, "torch.stack([layer(x) for layer in self.box], dim=1)",
        "torch.cat([layer(x) for layer in self.box], dim=1)"), {"head-shown"}),
    ("head", "classes first", changed(HEAD, "dim=1)", "dim=0)"), {"head-shown"}),
    ("head", "offsets of the background, too", changed(HEAD, "range(num_classes)", "range(num_classes + 1)"),
        {"head-shown"}),
    ("head", "a softmax in the head", changed(HEAD, "return scores", "return scores.softmax(1)"), {"head-weights"}),
    ("head", "a ReLU behind the fc part's own", changed(HEAD, "scores = self.cls(x)", "scores = self.cls(x).relu()"),
        {"head-weights"}),
    ("head", "the fc part drawn anew", changed(HEAD, "        nn.init.normal_(self.cls", "        for m in "
        "fc.modules():\n            if isinstance(m, nn.Linear):\n                nn.init.normal_(m.weight, 0, 0.01)\n"
        "        nn.init.normal_(self.cls"), {"head-weights"}),
    ("head", "a copy of the fc part", changed(HEAD, "self.fc = fc", "self.fc = copy.deepcopy(fc)"), {"head-shown"}),
    ("head", "the fc part in a list, where nobody finds it", changed(changed(HEAD, "self.fc = fc", "self.fc = [fc]"),
        "self.fc(pooled)", "self.fc[0](pooled)"), {"head-shown"}),
    ("head", "the fc part frozen", changed(HEAD, "self.fc = fc", "self.fc = fc.requires_grad_(False)"),
        {"head-weights"}),
    ("head", "PyTorch's own initial weights", changed(HEAD, "nn.init.normal_(layer.weight, 0, settings.offset_std)",
        "pass"), {"head-weights"}),
    ("head", "class_std for both", changed(HEAD, "settings.offset_std", "settings.class_std"), {"head-weights"}),
    ("head", "biases of 0.01", changed(HEAD, "nn.init.constant_(self.cls.bias, 0)",
        "nn.init.constant_(self.cls.bias, 0.01)"), {"head-weights"}),
    ("head", "no RoI, no shape", changed(HEAD, "torch.stack([layer(x) for layer in self.box], dim=1)",
        "torch.stack([layer(x) for layer in self.box], dim=1).view(len(x), -1, 4)"), {"head-shown"}),
    ("losses", "no true boxes among the proposals", changed(LOSSES, "torch.cat([boxes, truth])", "boxes"),
        {"losses-shown", "losses-two"}),
    ("losses", "targets not divided", changed(LOSSES, " / torch.tensor(s.target_stds)", ""),
        {"losses-shown", "losses-two"}),
    ("losses", "targets multiplied", changed(LOSSES, " / torch.tensor(s.target_stds)",
        " * torch.tensor(s.target_stds)"), {"losses-shown", "losses-two"}),
    ("losses", "the RPN's targets divided, too", changed(LOSSES, "        two = rpn_loss",
        "        wanted = wanted / torch.tensor(s.target_stds)\n        two = rpn_loss"),
        {"losses-shown", "losses-two"}),
    ("losses", "offsets from the object to the RoI", changed(LOSSES,
        "encode_boxes(truth[best][None], boxes[i][None])", "encode_boxes(boxes[i][None], truth[best][None])"),
        {"losses-shown", "losses-two"}),
    ("losses", "labels from 0", changed(LOSSES, "int(classes[best])", "int(classes[best]) - 1"),
        {"losses-shown", "losses-two"}),
    ("losses", "the object's number, not its class", changed(LOSSES, "int(classes[best])", "best + 1"),
        {"losses-shown", "losses-two"}),
    ("losses", "the first object's class for all", changed(LOSSES, "int(classes[best])", "int(classes[0])"),
        {"losses-two"}),
    ("losses", "background keeps the class of its best object", changed(LOSSES, "labels.append(0)",
        "labels.append(int(classes[rows[i][1]]))"), {"losses-shown", "losses-two", "losses-empty"}),
    ("losses", "the head's losses reach the RPN", changed(LOSSES, "with torch.no_grad():", "if True:"),
        {"losses-gradient"}),
    ("losses", "the RPN is cut off from the map", changed(LOSSES, "network.rpn(features)",
        "network.rpn(features.detach())"), {"losses-gradient"}),
    ("losses", "the head is cut off from the map", changed(LOSSES, "roi_pool(features,", "roi_pool(features.detach(),"),
        {"losses-gradient"}),
    ("losses", "the RPN's scores are detached for its loss, too", changed(LOSSES, "    objectness = rpn",
        "    scores, offsets = scores.detach(), offsets.detach()\n    objectness = rpn"), {"losses-gradient"}),
    ("losses", "proposals as at test time", changed(LOSSES, ", training=True", ""), {"losses-sample"}),
    ("losses", "width and height swapped", changed(LOSSES, "_, H, W =", "_, W, H ="), {"losses-shown", "losses-two"}),
    ("losses", "pooled without the scale", changed(LOSSES, "1 / network.stride", "1.0"),
        {"losses-shown", "losses-two"}),
    ("losses", "pooled with the stride for the scale", changed(LOSSES, "1 / network.stride", "network.stride"),
        {"losses-shown", "losses-two"}),
    ("losses", "all pooled from the first picture", changed(LOSSES, "torch.tensor([float(b)])", "torch.zeros(1)"),
        {"losses-two"}),
    ("losses", "the sum over pictures", changed(LOSSES, " / len(images)", ""), {"losses-two"}),
    ("losses", "the last picture's RPN losses", changed(changed(LOSSES, "objectness + two", "two"),
        "rpn_regression + two", "two"), {"losses-two"}),
    ("losses", "N_reg of all anchors", changed(LOSSES, "h * w, s.rpn", "len(anchors), s.rpn"),
        {"losses-shown", "losses-two"}),
    ("losses", "the RPN's loss without lambda", changed(LOSSES, 'two["rpn_regression"]',
        'two["rpn_regression"] / s.rpn.regression_weight'), {"losses-shown", "losses-two"}),
    ("losses", "regression_weight left out", changed(LOSSES, ", s.regression_weight", ""), {"losses-two"}),
    ("losses", "0.5, whatever the settings", changed(LOSSES, "s.foreground_iou", "0.5"), {"losses-sample"}),
    ("losses", "the background's lower limit left out", changed(LOSSES, "s.background_iou[0] <= value", "value"),
        {"losses-sample"}),
    ("losses", "everything else is background", changed(LOSSES, "1 if front else 0 if back else -1",
        "1 if front else 0"), {"losses-sample"}),
    ("losses", "all RoIs, no draw", changed(LOSSES,
        "sample_balanced(kind, s.rois_per_image, s.foreground_fraction, generator)",
        "torch.where(kind == 1)[0], torch.where(kind == 0)[0]"), {"losses-sample"}),
    ("losses", "drawn with the RPN's numbers", changed(LOSSES, "kind, s.rois_per_image, s.foreground_fraction",
        "kind, s.rpn.anchors_per_image, s.rpn.foreground_fraction"), {"losses-sample"}),
    ("losses", "always the same draw", changed(LOSSES, "s.foreground_fraction, generator",
        "s.foreground_fraction, torch.Generator().manual_seed(0)"), {"losses-sample"}),
    ("losses", "a picture without objects is left out", changed(LOSSES, "        kind, wanted =",
        "        if len(truth) == 0:\n            continue\n        kind, wanted ="), {"losses-empty"}),
    ("losses", "a picture without objects is an error", changed(LOSSES, " if len(truth) else -1", ""),
        {"losses-empty"}),
    ("losses", "one number", changed(LOSSES, "    return {", "    return sum(two.values()) + objectness + "
        "rpn_regression\n    return {"), {"losses-shown"}),
    ("losses", "two losses", changed(changed(LOSSES, '        "objectness": objectness,\n', ""),
        '        "rpn_regression": rpn_regression,\n', ""), {"losses-shown"}),
    ("losses", "the head's losses a picture at a time, and their mean", changed(changed(changed(LOSSES,
        "    pooled = roi_pool(features, torch.stack(rois),", "    every = []\n    for b in range(len(images)):\n"
        "        mine = [i for i, roi in enumerate(rois) if int(roi[0]) == b]\n"
        "        cls, box = network.head(roi_pool(features, torch.stack([rois[i] for i in mine]), network.pool_size, "
        "1 / network.stride))\n"
        "        every.append(multi_task_loss(cls, box, torch.tensor([labels[i] for i in mine]), "
        "torch.stack([goals[i] for i in mine]), s.regression_weight))\n"
        "    pooled = roi_pool(features, torch.stack(rois),"), "    cls, box = network.head(pooled)\n", ""),
        "    two = multi_task_loss(cls, box, torch.tensor(labels), torch.stack(goals), s.regression_weight)\n",
        "    two = {n: sum(e[n] for e in every) / len(every) for n in every[0]}\n"), {"losses-two"}),
    ("detect", "offsets not multiplied", changed(DETECT, " * torch.tensor(s.target_stds)", ""),
        {"detect-shown", "detect-boxes"}),
    ("detect", "offsets divided", changed(DETECT, "* torch.tensor(s.target_stds)", "/ torch.tensor(s.target_stds)"),
        {"detect-shown", "detect-boxes"}),
    ("detect", "the background as a class", changed(changed(DETECT, "range(1, K + 1)", "range(K + 1)"),
        "box[rows, k - 1]", "box[rows, max(k - 1, 0)]"), {"detect-shown", "detect-rules"}),
    ("detect", "labels from 0", changed(DETECT, "float(p[rows[i], k]), k,", "float(p[rows[i], k]), k - 1,"),
        {"detect-shown", "detect-rules"}),
    ("detect", "class k's offsets read in row k", changed(DETECT, "box[rows, k - 1]", "box[rows, k % K]"),
        {"detect-shown"}),
    ("detect", "the last class left out", changed(DETECT, "range(1, K + 1)", "range(1, K)"), {"detect-shown"}),
    ("detect", "a sigmoid for the softmax", changed(DETECT, "F.softmax(cls, dim=1)", "cls.sigmoid()"),
        {"detect-shown", "detect-rules"}),
    ("detect", "a softmax over the proposals", changed(DETECT, "dim=1)", "dim=0)"), {"detect-shown"}),
    ("detect", "a softmax without the background", changed(DETECT, "p = F.softmax(cls, dim=1)",
        "p = F.pad(F.softmax(cls[:, 1:], dim=1), (1, 0))"), {"detect-shown", "detect-rules"}),
    ("detect", "x clipped to the height", changed(DETECT, "[W, H, W, H]", "[H, W, H, W]"), {"detect-boxes"}),
    ("detect", "not clipped", changed(DETECT,
        "        moved = torch.minimum(moved.clamp(min=0), torch.tensor([W, H, W, H]))\n", ""), {"detect-boxes"}),
    ("detect", "clipped at 0 only", changed(DETECT,
        "torch.minimum(moved.clamp(min=0), torch.tensor([W, H, W, H]))", "moved.clamp(min=0)"), {"detect-boxes"}),
    ("detect", "clipped to the last pixel", changed(DETECT, "[W, H, W, H]", "[W - 1, H - 1, W - 1, H - 1]"),
        {"detect-boxes"}),
    ("detect", "no NMS", changed(DETECT, "nms(moved, p[rows, k], s.nms_iou)", "range(len(moved))"),
        {"detect-shown", "detect-rules"}),
    ("detect", "the RPN's threshold for NMS", changed(DETECT, "s.nms_iou", "s.rpn.nms_iou"), {"detect-rules"}),
    ("detect", "NMS across classes", changed(DETECT, "    found = found[: s", "    if found:\n        keep = nms("
        "torch.tensor([d[2] for d in found]), torch.tensor([d[0] for d in found]), s.nms_iou)\n"
        "        found = [found[i] for i in keep]\n    found = found[: s"), {"detect-shown", "detect-rules"}),
    ("detect", "the best class of each proposal only", changed(DETECT, "    K = p.shape", "    p = p * (p == "
        "p.amax(dim=1, keepdim=True))\n    K = p.shape"), {"detect-shown", "detect-rules"}),
    ("detect", "proposals in place of boxes", changed(DETECT, "moved = decode_boxes(box[rows, k - 1] * "
        "torch.tensor(s.target_stds), proposals[rows])", "moved = proposals[rows]"), {"detect-shown", "detect-boxes"}),
    ("detect", "decoded on the anchors", changed(DETECT, "torch.tensor(s.target_stds), proposals[rows])",
        "torch.tensor(s.target_stds), anchors[rows])"), {"detect-boxes"}),
    ("detect", "proposals as in training", changed(DETECT, "training=False", "training=True"), {"detect-boxes"}),
    ("detect", "at least the threshold", changed(DETECT, "> s.score_threshold", ">= s.score_threshold"),
        {"detect-rules"}),
    ("detect", "0.5 for the threshold", changed(DETECT, "> s.score_threshold", "> 0.5"), {"detect-shown"}),
    ("detect", "the best 100 of each class", changed(changed(DETECT, "s.nms_iou):", "s.nms_iou)[: s.max_detections]:"),
        "    found = found[: s.max_detections]\n", ""), {"detect-rules"}),
    ("detect", "all that is found", changed(DETECT, "    found = found[: s.max_detections]\n", ""), {"detect-rules"}),
    ("detect", "class by class, not best first", changed(DETECT, "    found.sort(key=lambda d: -d[0])\n", ""),
        {"detect-shown", "detect-rules"}),
    ("detect", "labels as floats", changed(DETECT, "for d in found], dtype=torch.int64", "for d in found], "
        "dtype=torch.float32"), {"detect-rules"}),
    ("detect", "with gradients", changed(changed(changed(DETECT, "@torch.no_grad()\n", ""), "float(p[rows[i], k])",
        "p[rows[i], k]"), 'torch.tensor([d[0] for d in found])',
        'torch.stack([d[0] for d in found]) if found else torch.zeros(0)'), {"detect-none"}),
    ("detect", "no detection, no shape", changed(DETECT, ".reshape(-1, 4)", ""), {"detect-none"}),
    ("detect", "no detection, None", changed(DETECT, "    return {", "    if not found:\n        return None\n"
        "    return {"), {"detect-none"}),
    ("detect", "pooled without the scale", changed(DETECT, "1 / network.stride", "1.0"), {"detect-shown"}),
    ("train", "the gradient not set to zero", changed(TRAIN, "        opt.zero_grad()\n", ""),
        {"train-shown", "train-loop"}),
    ("train", "no warm-up", changed(TRAIN, "warm * 0.5", "0.5"), {"train-shown", "train-loop"}),
    ("train", "warm-up from 0", changed(TRAIN, "(step + 1) / (SOLVER.warmup + 1)", "step / SOLVER.warmup"),
        {"train-shown", "train-loop"}),
    ("train", "no cosine", changed(TRAIN, "warm * 0.5 * (1 + math.cos(math.pi * step / steps))", "warm"),
        {"train-shown", "train-loop"}),
    ("train", "the cosine begins after the warm-up", changed(TRAIN, "math.pi * step / steps",
        "math.pi * max(0, step - SOLVER.warmup) / (steps - SOLVER.warmup)"), {"train-shown"}),
    ("train", "a cosine over 700 steps, whatever the number", changed(TRAIN, "step / steps", "step / 700"),
        {"train-shown", "train-loop"}),
    ("train", "the rate set after the step", changed(TRAIN, "    sums, waiting", "    opt.param_groups[0]['lr'] = "
        "SOLVER.learning_rate\n    sums, waiting"), {"train-shown"}),
    ("train", "SGD", changed(TRAIN, "torch.optim.AdamW(", "torch.optim.SGD("), {"train-loop"}),
    ("train", "Adam, with decay in the gradient", changed(TRAIN, "torch.optim.AdamW(", "torch.optim.Adam("),
        {"train-loop"}),
    ("train", "no clipping", changed(TRAIN, "        nn.utils.clip_grad_norm_(network.parameters(), SOLVER.clip)\n",
        ""), {"train-loop"}),
    ("train", "clipped before the gradient is there", changed(changed(TRAIN,
        "        nn.utils.clip_grad_norm_(network.parameters(), SOLVER.clip)\n", ""), "        loss.backward()\n",
        "        nn.utils.clip_grad_norm_(network.parameters(), SOLVER.clip)\n        loss.backward()\n"),
        {"train-loop"}),
    ("train", "clipped to 1", changed(TRAIN, "SOLVER.clip", "1.0"), {"train-loop"}),
    ("train", "the first loss only", changed(TRAIN, "torch.stack(list(parts.values())).sum()",
        "list(parts.values())[0]"), {"train-shown"}),
    ("train", "the mean of the losses", changed(TRAIN, ".sum()", ".mean()"), {"train-shown"}),
    ("train", "one picture a step", changed(TRAIN, "range(4)", "range(1)"), {"train-shown"}),
    ("train", "pictures drawn with repetition", changed(TRAIN, "pictures[waiting.pop()]",
        "pictures[int(torch.randint(len(pictures), (1,), generator=g))]"), {"train-shown", "train-loop"}),
    ("train", "always the same order", changed(TRAIN, "torch.randperm(len(pictures), generator=g).tolist()",
        "list(range(len(pictures)))"), {"train-loop"}),
    ("train", "no flips", changed(TRAIN, ".item() < 0.5", ".item() < 0"), {"train-loop"}),
    ("train", "every picture flipped", changed(TRAIN, ".item() < 0.5", ".item() < 2"), {"train-loop"}),
    ("train", "boxes not flipped", changed(TRAIN,
        "                boxes[:, 0], boxes[:, 2] = W - target[\"boxes\"][:, 2], W - target[\"boxes\"][:, 0]\n", ""),
        {"train-loop"}),
    ("train", "left and right not exchanged", changed(TRAIN,
        'W - target["boxes"][:, 2], W - target["boxes"][:, 0]', 'W - target["boxes"][:, 0], W - target["boxes"][:, 2]'),
        {"train-loop"}),
    ("train", "mirrored with inclusive pixels", changed(TRAIN, "W = image.shape[2]", "W = image.shape[2] - 1"),
        {"train-loop"}),
    ("train", "upside down", changed(TRAIN, "dims=[2]", "dims=[1]"), {"train-loop"}),
    ("train", "the data's own boxes are changed", changed(TRAIN, ".clone()", ""), {"train-shown"}),
    ("train", "the seed of the whole program", changed(TRAIN, "generator=g", "generator=None"), {"train-loop"}),
    ("train", "a new generator for the losses in every step", changed(TRAIN, "targets, g)",
        "targets, torch.Generator().manual_seed(seed))"), {"train-loop"}),
    ("train", "one epoch, whatever the number of steps", changed(TRAIN, "for step in range(steps):",
        "for step in range(len(pictures) // 4):"), {"train-shown"}),
]  # fmt: skip

RIGHT = [
    ("rpn", "one convolution for both", RPN),
    ("rpn", "cells in a loop", changed(RPN,
        "out = self.both(x).view(B, self.k, 6, h, w).permute(0, 3, 4, 1, 2).reshape(B, h * w * self.k, 6)",
        "maps = self.both(x)\n        cells = [(i, j) for i in range(h) for j in range(w)]\n"
        "        rows = [maps[:, :, i, j].view(B, self.k, 6) for i, j in cells]\n"
        "        out = torch.cat(rows, dim=1)")),
    ("rpn", "the two numbers of an anchor k channels apart", changed(RPN,
        "view(B, self.k, 6, h, w).permute(0, 3, 4, 1, 2)", "view(B, 6, self.k, h, w).permute(0, 3, 4, 2, 1)")),
    ("head", "a layer for each class", HEAD),
    ("head", "one layer for all", """
class RoIHead(nn.Module):
    def __init__(self, fc, features, num_classes, settings):
        super().__init__()
        self.fc, self.last = fc, nn.Linear(features, 5 * num_classes + 1)
        std = [settings.class_std] * (num_classes + 1) + [settings.offset_std] * 4 * num_classes
        with torch.no_grad():
            self.last.weight.copy_(torch.randn(self.last.weight.shape) * torch.tensor(std)[:, None])
            self.last.bias.zero_()

    def forward(self, pooled):
        out = self.last(self.fc(pooled))
        K = (out.shape[1] - 1) // 5
        return out[:, : K + 1], out[:, K + 1 :].reshape(len(out), K, 4)
"""),
    ("losses", "RoI by RoI", LOSSES),
    ("losses", "proposals first, drawn first", changed(LOSSES, "torch.cat([boxes, truth])",
        "torch.cat([truth, boxes])")),
    ("losses", "RoIs go through the head a picture at a time, one loss", changed(LOSSES,
        "    pooled = roi_pool(features, torch.stack(rois), network.pool_size, 1 / network.stride)\n"
        "    cls, box = network.head(pooled)\n", "    every = [network.head(roi_pool(features, torch.stack([r for r in "
        "rois if r[0] == b]), network.pool_size, 1 / network.stride)) for b in range(len(images))]\n"
        "    cls, box = (torch.cat(part) for part in zip(*every))\n")),
    ("detect", "detections in a list", DETECT),
    ("detect", "in double precision", changed(DETECT, "p = F.softmax(cls, dim=1)",
        "p, box, proposals = F.softmax(cls, dim=1).double(), box.double(), proposals.double()")),
    ("detect", "all classes decoded at once", """
def detect(network, image):
    s = network.settings
    H, W = image.shape[1:]
    with torch.inference_mode():
        features = network.convolve([image])
        scores, offsets = network.rpn(features)
        proposals = select_proposals(scores[0], offsets[0], network.anchors(features), (H, W), s.rpn)[0]
        rois = torch.cat([proposals.new_zeros(len(proposals), 1), proposals], dim=1)
        cls, box = network.head(roi_pool(features, rois, network.pool_size, 1 / network.stride))
        p = cls.softmax(-1)[:, 1:]
        K = p.shape[1]
        box = (box * torch.tensor(s.target_stds)).reshape(-1, 4)
        box = decode_boxes(box, proposals.repeat_interleave(K, dim=0))
        box = torch.minimum(box.clamp(min=0), torch.tensor([W, H, W, H])).view(-1, K, 4)
        row, k = torch.where(p > s.score_threshold)
        box, p = box[row, k], p[row, k]
        stay = torch.cat([torch.where(k == c)[0][nms(box[k == c], p[k == c], s.nms_iou)] for c in range(K)])
        stay = stay[p[stay].argsort(descending=True)][: s.max_detections]
        return {"boxes": box[stay], "scores": p[stay], "labels": k[stay] + 1}
"""),
    ("train", "a scheduler of PyTorch's", TRAIN),
    ("train", "two groups, fused, an order of all steps made in the beginning", """
def train_network(network, pictures, steps, seed):
    g = torch.Generator()
    g.manual_seed(seed)
    per, number = SOLVER.images_per_step, len(pictures)
    learn = [p for p in network.parameters() if p.requires_grad]
    opt = torch.optim.AdamW([{"params": learn}], lr=1.0, weight_decay=SOLVER.weight_decay, foreach=False)
    epochs = steps * per // number + 1
    order = torch.cat([torch.randperm(number, generator=g) for _ in range(epochs)])
    curve = []
    for s in range(steps):
        opt.param_groups[0]["lr"] = (
            SOLVER.learning_rate * min(1, (s + 1) / (SOLVER.warmup + 1)) * 0.5 * (1 + math.cos(math.pi * s / steps))
        )
        images, targets = [], []
        for i in order[s * per : (s + 1) * per].tolist():
            image, target = pictures[i]
            if torch.randint(2, (), generator=g):
                image = image[:, :, torch.arange(image.shape[2] - 1, -1, -1)]
                turned = target["boxes"][:, [2, 1, 0, 3]] * torch.tensor([-1.0, 1, -1, 1])
                width = image.shape[2]
                target = {"labels": target["labels"], "boxes": turned + torch.tensor([width, 0, width, 0])}
            images.append(image)
            targets.append(target)
        network.zero_grad()
        total = sum(losses(network, images, targets, g).values())
        total.backward()
        norm = math.sqrt(sum(float(p.grad.norm()) ** 2 for p in learn if p.grad is not None))
        for p in learn:
            if p.grad is not None and norm > SOLVER.clip:
                p.grad *= SOLVER.clip / norm
        opt.step()
        curve.append(total.item())
    return curve
"""),
]  # fmt: skip
