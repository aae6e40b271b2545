"""Mixed precision: convolutions in bfloat16, all else in FP32."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@contextlib.contextmanager
def mixed_precision(device: torch.device, enabled: bool) -> Iterator[None]:
    """Compute convolutions in bfloat16 inside the block, unless a CPU is slow or wrong at them."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=enabled))
        if enabled and device.type == "cpu":
            stack.enter_context(_SomeInFloat32())
        yield


class _SomeInFloat32(TorchFunctionMode):
    """Keeps convolutions in FP32 that a CPU computes slowly or wrong in bfloat16."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch.conv2d and _stays_in_float32(*args[1:3]):
            with torch.autocast("cpu", enabled=False):
                return func(args[0].float(), *args[1:], **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _stays_in_float32(weight: Tensor, bias: Tensor | None = None) -> bool:
    outputs, inputs_per_group = weight.shape[:2]
    # oneDNN falls back to a reference kernel: the backward pass in bfloat16 takes 2 to 6 times as
    # long, so an encoder like MobileNet would train slower than in FP32.
    depthwise = inputs_per_group == 1 < outputs
    # With AMX and several threads oneDNN writes the bias's gradient in blocks of 16 channels, past
    # its end where they are not full: FCN's score layer (4096 to 11 channels, PyTorch 2.13)
    # corrupts the heap. Other processors are spared, since FP32 everywhere would make a step of
    # FC-DenseNet, which grows by 12 channels, 1.8 times as long.
    last_block_open = bias is not None and outputs % 16 != 0
    return depthwise or (last_block_open and has_amx())


def has_amx() -> bool:
    """Tell whether this processor has AMX, which oneDNN then uses for bfloat16."""
    return bool(torch.cpu.get_capabilities().get("amx_tile", False))
