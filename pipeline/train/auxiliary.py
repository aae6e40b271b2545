"""A second loss on the encoder's third stage, in training only (PSPNet, section 3.3)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from models.pspnet import AuxiliaryHead, PSPNet
from models.resnet import ResNet


class DeepSupervision(nn.Module):
    """A second head on a network's encoder; the network itself is not changed.

    Args:
        encoder: of the network in training; a hook keeps its output at every forward pass.
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
        self._stage3 = None  # so that a later call cannot use this step's graph
        return F.interpolate(scores, size=size, mode="bilinear", align_corners=True)


def deep_supervision(network: nn.Module, classes: int, weight: float) -> DeepSupervision | None:
    """Attach a second head if ``weight`` is not 0 and the network is a PSPNet on a ResNet."""
    if not weight or not isinstance(network, PSPNet) or not isinstance(network.encoder, ResNet):
        return None
    device = next(network.parameters()).device
    return DeepSupervision(network.encoder, classes).to(device)
