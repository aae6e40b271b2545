"""Start a narrow VGG encoder from a wide pretrained one.

Layer by layer, like channel pruning by reconstruction (He, Zhang and Sun, ICCV 2017): the output
channels that span most of the wide layer's activations are kept (pivoted Gram-Schmidt), and the
narrow layer's weights are the least-squares fit from the narrow encoder's own activations to the
wide layer's outputs on those channels, so later layers correct part of the errors of earlier ones.
An encoder with random weights would need many epochs to learn edges and textures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks import ConvNormReLU

#: Positions sampled per picture and layer for the fits.
_SAMPLES = 1200

#: Ridge, as a share of the mean diagonal: keeps the solution bounded if a channel is always zero.
_RIDGE = 1e-4


@torch.no_grad()
def shrink_encoder(wide: nn.ModuleList, narrow: nn.ModuleList, pictures: Sequence[Tensor]) -> None:
    """Fit the convolutions of ``narrow`` to those of ``wide``; batch norms are not changed.

    Args:
        wide: VGG stages with pretrained convolutions.
        narrow: the same stages with fewer channels.
        pictures: (N, 3, H, W) normalised; a dozen pictures are enough.
    """
    generator = torch.Generator().manual_seed(0)
    above, below = list(pictures), list(pictures)
    for wide_stage, narrow_stage in zip(wide, narrow, strict=True):
        pairs = zip(
            cast("nn.Sequential", wide_stage), cast("nn.Sequential", narrow_stage), strict=True
        )
        for source, target in cast("Iterable[tuple[ConvNormReLU, ConvNormReLU]]", pairs):
            outputs = [source.conv(x) for x in above]
            keep = _spanning_channels(outputs, target.conv.out_channels, generator)
            _fit(target.conv, below, [y[:, keep] for y in outputs], generator)
            above = [torch.relu(y) for y in outputs]
            below = [torch.relu(target.conv(x)) for x in below]
        above = [F.max_pool2d(x, 2) for x in above]
        below = [F.max_pool2d(x, 2) for x in below]


def _spanning_channels(outputs: Sequence[Tensor], count: int, generator: torch.Generator) -> Tensor:
    """Choose the channels whose rectified activations best span those of all others."""
    columns = [torch.relu(y).flatten(2).transpose(1, 2).reshape(-1, y.shape[1]) for y in outputs]
    rows = torch.cat([_sample(c, c.shape[0], generator)[0] for c in columns])
    rows -= rows.mean(0)
    chosen: list[int] = []
    for _ in range(count):
        energy = rows.square().sum(0)
        energy[chosen] = -1.0
        best = int(energy.argmax())
        chosen.append(best)
        direction = rows[:, best] / rows[:, best].norm().clamp_min(1e-12)
        rows = rows - direction[:, None] * (direction @ rows)
    return torch.tensor(chosen)


def _sample(values: Tensor, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw rows without replacement; return them and their numbers."""
    places = torch.randperm(length, generator=generator)[:_SAMPLES]
    return values[places], places


def _fit(
    convolution: nn.Conv2d,
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    generator: torch.Generator,
) -> None:
    """Set weights and bias by ridge regression from 3x3 patches to target outputs."""
    patches, wanted = [], []
    for x, y in zip(inputs, targets, strict=True):
        columns = F.unfold(x, 3, padding=1).transpose(1, 2).flatten(0, 1)
        sampled, places = _sample(columns, columns.shape[0], generator)
        patches.append(sampled)
        wanted.append(y.flatten(2).transpose(1, 2).flatten(0, 1)[places])
    a = torch.cat(patches)
    a = torch.cat([a, torch.ones(a.shape[0], 1)], 1)
    b = torch.cat(wanted)
    # The large products in single precision, the small and badly conditioned system in double.
    gram = (a.T @ a).double()
    gram += torch.eye(gram.shape[0], dtype=gram.dtype) * (_RIDGE * gram.diagonal().mean())
    solution = torch.linalg.solve(gram, (a.T @ b).double())
    convolution.weight.copy_(solution[:-1].T.reshape(convolution.weight.shape))
    assert convolution.bias is not None
    convolution.bias.copy_(solution[-1])
