"""Mixed precision: bfloat16 where it is faster on the device at hand, FP32 elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextlib.contextmanager
def mixed_precision(device: torch.device, enabled: bool) -> Iterator[None]:
    """Compute convolutions in bfloat16 inside the block, those excepted that it slows down."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=enabled))
        if enabled and device.type == "cpu":
            stack.enter_context(_DepthwiseInFloat32())
        yield


class _DepthwiseInFloat32(TorchFunctionMode):
    """Keeps depthwise convolutions in FP32.

    On a CPU their backward pass in bfloat16 takes 2 to 6 times as long as in FP32 (oneDNN falls
    back to a reference kernel), which would make a MobileNet kind of encoder train slower in mixed
    precision than without.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch.conv2d and args[1].shape[1] == 1 < args[1].shape[0]:
            with torch.autocast("cpu", enabled=False):
                return func(args[0].float(), *args[1:], **(kwargs or {}))
        return func(*args, **(kwargs or {}))
