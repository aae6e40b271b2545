"""Transposed convolutions of stride 1 as the convolutions that they are.

With stride 1 a transposed convolution is a convolution whose kernel is turned by 180 degrees
(Dumoulin and Visin 2016, arXiv:1603.07285, relationship 9). Runtimes do better with the latter:
TensorRT has scales per output channel for it, so it runs in INT8, and batch norms fold into it.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


def with_plain_convolutions(network: nn.Module) -> nn.Module:
    """Return a network that computes the same with every transposed convolution of stride 1 plain.

    Names stay; a kernel of (in, out, h, w) becomes (out, in, h, w). ``network`` is not changed; it
    is returned itself if it has no such layer.
    """
    if not any(_can_be_plain(module) for module in network.modules()):
        return network
    network = copy.deepcopy(network)
    if _can_be_plain(network):
        return _plain(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if _can_be_plain(child):
                setattr(parent, name, _plain(child))
    return network


def _can_be_plain(module: nn.Module) -> bool:
    # Subclasses compute something of their own.
    return (
        type(module) is nn.ConvTranspose2d
        and module.stride == (1, 1)
        and module.dilation == (1, 1)
        and module.groups == 1
        and _padding(module) is not None
    )


def _padding(module: nn.ConvTranspose2d) -> tuple[int, int] | None:
    """Rows and columns of zeros on each side; None if more is cut off than a kernel adds."""
    assert not isinstance(module.padding, str)  # only plain convolutions take a name
    vertical, horizontal = (
        side - 1 - cut for side, cut in zip(module.kernel_size, module.padding, strict=True)
    )
    return (vertical, horizontal) if vertical >= 0 and horizontal >= 0 else None


@torch.no_grad()
def _plain(module: nn.Module) -> nn.Conv2d:
    assert isinstance(module, nn.ConvTranspose2d)
    padding = _padding(module)
    assert padding is not None
    plain = nn.Conv2d(
        module.in_channels,
        module.out_channels,
        module.kernel_size,  # type: ignore[arg-type]  # two numbers
        padding=padding,
        bias=module.bias is not None,
        device=module.weight.device,
        dtype=module.weight.dtype,
    )
    plain.weight.copy_(module.weight.flip(2, 3).transpose(0, 1))
    if module.bias is not None and plain.bias is not None:
        plain.bias.copy_(module.bias)
    plain.requires_grad_(module.weight.requires_grad)
    return plain.train(module.training)
