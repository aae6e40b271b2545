"""Mixed precision on a CPU: bfloat16, except for convolutions that it does not suit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.train.precision import mixed_precision

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")

#: FCN's score layer. Two threads, because one thread writes no partial sums of the bias.
SCORE_LAYER = """
import torch
from torch import nn
from pipeline.train.precision import mixed_precision

torch.set_num_threads(2)
layer = nn.Conv2d(4096, 11, 1).to(memory_format=torch.channels_last)
x = torch.randn(4, 4096, 8, 10).contiguous(memory_format=torch.channels_last)
for _ in range(3):
    with mixed_precision(torch.device("cpu"), True):
        y = layer(x)
    y.float().sum().backward()
expected = 3 * 4 * 8 * 10
assert (layer.bias.grad == expected).all(), layer.bias.grad
"""


@pytest.mark.parametrize(
    ("layer", "dtype"),
    [
        (nn.Conv2d(32, 32, 3), torch.bfloat16),
        (nn.Conv2d(32, 11, 1, bias=False), torch.bfloat16),
        (nn.Conv2d(32, 11, 1), torch.bfloat16),
        (nn.Conv2d(32, 32, 3, groups=32, bias=False), torch.float32),
    ],
    ids=["dense", "11 outputs", "11 outputs and a bias", "depthwise"],
)
def test_convolutions_are_computed_in_bfloat16_unless_it_does_not_suit_them(
    layer: nn.Conv2d, dtype: torch.dtype
) -> None:
    x = torch.randn(1, 32, 8, 8)
    with mixed_precision(CPU, True):
        assert layer(layer(x) if layer.groups > 1 else x).dtype == dtype
    with mixed_precision(CPU, False):
        assert layer(x).dtype == torch.float32


def test_a_bias_that_is_added_apart_is_the_layers() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 11, 3, padding=2, dilation=2, stride=2)
    x = torch.randn(2, 32, 9, 9)
    with mixed_precision(CPU, True):
        mixed = layer(x)
    exact = layer(x)
    # bfloat16 has 8 bits of precision.
    torch.testing.assert_close(mixed.float(), exact, rtol=2**-6, atol=2**-6)


def test_the_gradient_of_a_score_layer_stays_inside_its_memory() -> None:
    """On processors with AMX, PyTorch's own bfloat16 ends this process with a corrupt heap."""
    done = subprocess.run(
        [sys.executable, "-c", SCORE_LAYER], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
