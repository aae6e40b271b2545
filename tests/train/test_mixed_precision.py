"""Mixed precision on a CPU: bfloat16, but for the convolutions that it does not suit."""

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

#: FCN's score layer. Two threads, for one alone writes no partial sums of the bias.
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
    ("layer", "amx", "dtype"),
    [
        (nn.Conv2d(32, 32, 3), True, torch.bfloat16),
        (nn.Conv2d(32, 11, 1, bias=False), True, torch.bfloat16),
        (nn.Conv2d(32, 11, 1), True, torch.float32),
        (nn.Conv2d(32, 11, 1), False, torch.bfloat16),
        (nn.Conv2d(32, 32, 3, groups=32, bias=False), False, torch.float32),
    ],
    ids=["dense", "11 outputs", "11 outputs and a bias, AMX", "the same, no AMX", "depthwise"],
)
def test_convolutions_are_computed_in_bfloat16_unless_it_does_not_suit_them(
    layer: nn.Conv2d, amx: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.train.precision.has_amx", lambda: amx)
    x = torch.randn(1, 32, 8, 8)
    with mixed_precision(CPU, True):
        assert layer(layer(x) if layer.groups > 1 else x).dtype == dtype
    with mixed_precision(CPU, False):
        assert layer(x).dtype == torch.float32


def test_the_gradient_of_a_score_layer_stays_inside_its_memory() -> None:
    """On processors with AMX, PyTorch's own bfloat16 ends this process with a broken heap."""
    done = subprocess.run(
        [sys.executable, "-c", SCORE_LAYER], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
