"""The multi-task loss (section 2.3): one objective where R-CNN had three training procedures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def smooth_l1(difference: Tensor, beta: float = 1.0) -> Tensor:
    """0.5 x^2 / beta where |x| < beta, |x| - 0.5 beta elsewhere (equation 3 has beta = 1). Any shape."""
    return F.smooth_l1_loss(difference, torch.zeros_like(difference), reduction="none", beta=beta)


def multi_task_loss(
    scores: Tensor, offsets: Tensor, labels: Tensor, targets: Tensor, regression_weight: float = 1.0
) -> dict[str, Tensor]:
    """L = -log p_u + lambda [u >= 1] sum over x, y, w, h of smooth_L1(t^u - v), averaged over the RoIs.

    Args:
        scores: (R, C + 1) before the softmax. offsets: (R, C, 4). labels: u, (R,), 0 = background.
        targets: v, (R, 4), normalised; rows of background RoIs are not read.
    Returns:
        {"classification", "regression"}, scalars. The background's RoIs count in the average of the second
        too, so that a minibatch's weight does not depend on how many foreground RoIs it found.
    """
    foreground = torch.where(labels > 0)[0]
    chosen = offsets[foreground, labels[foreground] - 1]  # (F, 4)
    regression = smooth_l1(chosen - targets[foreground]).sum() / max(1, len(labels))
    return {
        "classification": F.cross_entropy(scores, labels) if len(labels) else scores.sum() * 0,
        "regression": regression_weight * regression,
    }
