"""Our pooling with positions, and unpooling, bit for bit against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.unpooling import max_pool_phases, unpool_phases

KINDS = ("normal", "zeros", "negative", "few_levels", "relu")


def picture(kind: str, shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator)
    return {
        "normal": x,
        "zeros": torch.zeros(shape),
        "negative": -x.abs() - 1,
        "few_levels": x.round(),  # many ties inside windows
        "relu": x.relu(),  # whole windows tie at zero
    }[kind]


def assert_same_as_pytorch(x: Tensor, decoded: Tensor) -> None:
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    expected = F.max_unpool2d(decoded, indices, 2, output_size=x.shape[-2:])
    pooled = max_pool_phases(x)
    assert torch.equal(pooled.values, values)
    assert torch.equal(unpool_phases(decoded, pooled.phase, pooled.size), expected)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    batch=st.integers(1, 3),
    channels=st.integers(1, 4),
    height=st.integers(2, 17),
    width=st.integers(2, 17),
    seed=st.integers(0, 1000),
)
def test_pool_and_unpool_are_bit_equal_to_pytorch(
    kind: str, batch: int, channels: int, height: int, width: int, seed: int
) -> None:
    x = picture(kind, (batch, channels, height, width), seed)
    decoded = torch.randn(batch, channels, height // 2, width // 2)
    assert_same_as_pytorch(x, decoded)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(360, 480), (45, 60), (11, 15), (2, 2), (3, 2)])
def test_the_sizes_that_segnet_meets_at_480x360_are_bit_equal(
    kind: str, size: tuple[int, int]
) -> None:
    x = picture(kind, (2, 3, *size), seed=1)
    assert_same_as_pytorch(x, torch.randn(2, 3, size[0] // 2, size[1] // 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_are_bit_equal_too(dtype: torch.dtype) -> None:
    x = picture("few_levels", (1, 2, 9, 8), seed=2).to(dtype)
    decoded = torch.randn(1, 2, 4, 4).to(dtype)
    assert_same_as_pytorch(x, decoded)


def test_a_tied_window_keeps_its_first_position_only() -> None:
    pooled = max_pool_phases(torch.zeros(1, 1, 2, 2))
    unpooled = unpool_phases(torch.full((1, 1, 1, 1), 7.0), pooled.phase, pooled.size)
    assert unpooled.flatten().tolist() == [7.0, 0.0, 0.0, 0.0]


def test_gradients_are_those_of_pytorch() -> None:
    x = picture("few_levels", (1, 2, 6, 7), seed=3)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    pooled = max_pool_phases(ours)
    unpool_phases(pooled.values, pooled.phase, pooled.size).square().sum().backward()
    values, indices = F.max_pool2d(theirs, 2, return_indices=True)
    F.max_unpool2d(values, indices, 2, output_size=(6, 7)).square().sum().backward()
    assert torch.equal(ours.grad, theirs.grad)
