"""A second loss on the encoder's third stage, in training only (PSPNet, section 3.3)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from models.pspnet import AuxiliaryHead, PSPNet
from models.resnet import ResNet


class DeepSupervision(nn.Module):
    """Scores from inside a network, for a second loss; the network itself stays as it is.

    Args:
        encoder: of the network in training; its output is kept at every forward pass.
        classes: number of output channels.
    """

    def __init__(self, encoder: ResNet, classes: int) -> None:
        super().__init__()
        self.head = AuxiliaryHead(encoder, classes)
        self._stage3: Tensor | None = None
        encoder.register_forward_hook(self._keep)

    def _keep(self, _encoder: nn.Module, _inputs: Any, features: Any) -> None:
        self._stage3 = features.stage3

    def forward(self, size: tuple[int, int]) -> Tensor:
        """Return (N, classes, *size) logits of the network's latest pictures."""
        assert self._stage3 is not None, "the network must have seen pictures before"
        scores = self.head(self._stage3)
        self._stage3 = None  # the next call must not see the graph of this one
        return F.interpolate(scores, size=size, mode="bilinear", align_corners=True)


def deep_supervision(network: nn.Module, classes: int, weight: float) -> DeepSupervision | None:
    """Attach a second head where the recipe gives it weight and the network has a place for it."""
    if not weight or not isinstance(network, PSPNet) or not isinstance(network.encoder, ResNet):
        return None
    device = next(network.parameters()).device
    return DeepSupervision(network.encoder, classes).to(device)
