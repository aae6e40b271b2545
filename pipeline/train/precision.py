"""Mixed precision: convolutions in bfloat16, all else in FP32."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextlib.contextmanager
def mixed_precision(device: torch.device, enabled: bool) -> Iterator[None]:
    """Compute convolutions in bfloat16 inside the block, where a CPU is fast and right."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=enabled))
        if enabled and device.type == "cpu":
            stack.enter_context(_ForCpus())
        yield


class _ForCpus(TorchFunctionMode):
    """Computes those convolutions otherwise that a CPU computes slowly or wrong in bfloat16."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is not torch.conv2d:
            return func(*args, **kwargs)
        x, weight, bias, *rest = (*args, None) if len(args) == 2 else args
        outputs, inputs_per_group = weight.shape[:2]
        if inputs_per_group == 1 < outputs:
            # Depthwise: oneDNN falls back to a reference kernel, whose backward pass in bfloat16
            # takes 2 to 6 times as long: MobileNet would train slower than in FP32.
            with torch.autocast("cpu", enabled=False):
                return func(x.float(), weight, bias, *rest, **kwargs)
        if bias is not None and outputs % 16 != 0:
            # With AMX and several threads oneDNN writes the bias's gradient in blocks of 16
            # channels, past its end where they are not full: FCN's score layer (4096 to 11
            # channels, PyTorch 2.13) corrupts the heap. So the bias is added apart, which is
            # also faster: a step of FC-DenseNet, which grows by 12 channels, takes 0.6 of the
            # time that it takes with these layers in FP32.
            y = func(x, weight, None, *rest, **kwargs)
            return y + bias.to(y.dtype).view(-1, 1, 1)
        return func(*args, **kwargs)
