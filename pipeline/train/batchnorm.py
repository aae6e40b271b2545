"""Add batch norm to a pretrained encoder without changing what it computes.

Published VGG16 weights have no batch norm. A new norm with default values would rescale every layer
and lose the pretraining, so each norm is set from a pass over the data: its running statistics
become those of its convolution's outputs, and its gamma and beta undo exactly that normalisation.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def fit_batch_norms(stages: nn.ModuleList, pictures: Iterable[Tensor]) -> None:
    """Set every batch norm of VGG ``stages`` from (N, 3, H, W) normalised ``pictures``.

    Layer by layer, since each layer's input depends on the norms before it. The activations of all
    pictures are in memory meanwhile; a few dozen pictures are enough.
    """
    activations = list(pictures)
    for stage in stages:
        for layer in stage:  # type: ignore[attr-defined]
            before = [layer.conv(x) for x in activations]
            count = sum(x.shape[0] * x.shape[2] * x.shape[3] for x in before)
            mean = torch.stack([x.double().sum((0, 2, 3)) for x in before]).sum(0) / count
            squares = torch.stack(
                [(x.double() - mean.view(1, -1, 1, 1)).square().sum((0, 2, 3)) for x in before]
            )
            variance = squares.sum(0) / count
            norm = layer.norm
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean)
            activations = [torch.relu(x) for x in before]
        activations = [torch.max_pool2d(x, 2) for x in activations]


def freeze_batch_norms(network: nn.Module) -> None:
    """Make batch norms use their running statistics in training too, without updating them.

    An engine has these statistics folded into its weights, so fine-tuning for it must use them.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
