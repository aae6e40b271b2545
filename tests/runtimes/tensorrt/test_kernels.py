"""The kernels that TensorRT for RTX's builder makes for unpooling, read from its own list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tensorrt_rtx as trt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.segnet import SegNet
from models.unpooling import MaxPoolPhases, MaxUnpoolPhases, Pooled


class Listening(trt.ILogger):  # type: ignore[misc]
    """Keeps the builder's messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def log(self, _severity: trt.ILogger.Severity, message: str) -> None:
        self.messages.append(message)


def kernels(network: torch.nn.Module, folder: Path, dtype: torch.dtype) -> list[str]:
    """Return the names of the kernels left after fusion, for one GPU architecture."""
    path = folder / "network.onnx"
    example = torch.zeros(1, 3, 64, 96, dtype=dtype)
    torch.onnx.export(network.to(dtype).eval(), (example,), path, external_data=False)
    logger = Listening()
    builder = trt.Builder(logger)
    filled = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(filled, logger).parse_from_file(str(path))
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    assert builder.build_serialized_network(filled, config)
    (listed,) = (message for message in logger.messages if message.startswith("Layers:"))
    return re.findall(r"^Name: (\S+), LayerType: \w+", listed, re.MULTILINE)


def plain_pool(_: MaxPoolPhases, x: Tensor) -> Pooled:
    """Drop the positions of the maxima."""
    values = F.max_pool2d(x, 2)
    return Pooled(values, values, (x.shape[-2], x.shape[-1]))


def plain_unpool(_: MaxUnpoolPhases, x: Tensor, _pooled: Pooled) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporter's own
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_unpooling_takes_no_kernel_more_than_enlarging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """Positions, comparison and selection fuse into the kernel that enlarges the map."""
    ours = kernels(SegNet(classes=11, width=1 / 16), tmp_path, dtype)
    monkeypatch.setattr(MaxPoolPhases, "forward", plain_pool)
    monkeypatch.setattr(MaxUnpoolPhases, "forward", plain_unpool)
    plain = kernels(SegNet(classes=11, width=1 / 16), tmp_path, dtype)
    assert sum("max_pool2d" in name for name in plain) == 5
    assert sum("conv" in name.lower() for name in ours) == 26
    assert len(ours) == len(plain)
