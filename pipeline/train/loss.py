"""The training loss: weighted cross-entropy, and the overlap that mIoU measures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SegmentationLoss(nn.Module):
    """Cross-entropy with class weights, plus the soft Jaccard distance of the classes present.

    Cross-entropy alone neglects poles, signs and people, which are about 1 % of the pixels. The
    Jaccard term (Rahman and Wang, ISVC 2016) weights all classes that occur equally, as mIoU does.

    Args:
        weights: (classes,) loss weight per class.
        void: label value without a class.
        overlap: weight of the Jaccard term; 0 leaves it out.
    """

    weights: Tensor

    def __init__(self, weights: Tensor, void: int, overlap: float) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.void = void
        self.overlap = overlap

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compare (N, classes, H, W) FP32 logits with (N, H, W) int64 labels."""
        entropy = F.cross_entropy(logits, labels, self.weights, ignore_index=self.void)
        if not self.overlap:
            return entropy
        return entropy + self.overlap * soft_jaccard(logits, labels, self.void)


def soft_jaccard(logits: Tensor, labels: Tensor, void: int) -> Tensor:
    """1 - mean soft IoU over the classes that occur in ``labels``; 0 where all is void."""
    kept = (labels != void).unsqueeze(1)
    share = logits.softmax(1) * kept
    truth = torch.zeros_like(share).scatter_(1, labels.clamp(max=logits.shape[1] - 1)[:, None], 1.0)
    truth = truth * kept
    both = (share * truth).sum((0, 2, 3))
    present = truth.sum((0, 2, 3))
    union = share.sum((0, 2, 3)) + present - both
    occurs = present > 0
    if not occurs.any():
        return logits.sum() * 0
    return 1 - (both[occurs] / union[occurs]).mean()
