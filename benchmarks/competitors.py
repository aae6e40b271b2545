"""The same work with other tools: byte frames in, class maps out.

Each resizes and normalises with OpenCV and NumPy, like the examples of these libraries, runs the
network on floats, and takes the arg-max with NumPy or PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import openvino
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.registry import build_model, model_spec
from models.spec import InputSpec, ModelSpec
from models.unpooling import MaxPoolPhases, MaxUnpoolPhases, Pooled
from models.weights import load_weights

Segment = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


class NativePool(nn.Module):
    """PyTorch's own pooling with indices, with the return type of our networks."""

    def forward(self, x: Tensor) -> Pooled:
        """Pool 2x2."""
        values, indices = F.max_pool2d(x, 2, return_indices=True)
        return Pooled(values, indices, (x.shape[-2], x.shape[-1]))


class NativeUnpool(nn.Module):
    """PyTorch's own unpooling."""

    def forward(self, x: Tensor, pooled: Pooled) -> Tensor:
        """Unpool to the indices that :class:`NativePool` left."""
        return F.max_unpool2d(x, pooled.phase, [2, 2], output_size=pooled.size)


def trained(name: str) -> tuple[nn.Module, ModelSpec]:
    """Build a network with its registered weights."""
    spec = model_spec(name)
    network = build_model(spec)
    load_weights(network, spec, None)
    return network.eval(), spec


def native(name: str) -> tuple[nn.Module, ModelSpec]:
    """Build a trained network with ``F.max_unpool2d`` in its unpooling layers."""
    network, spec = trained(name)
    for parent in list(network.modules()):
        for child, module in list(parent.named_children()):
            if isinstance(module, MaxPoolPhases):
                setattr(parent, child, NativePool())
            elif isinstance(module, MaxUnpoolPhases):
                setattr(parent, child, NativeUnpool())
    return network, spec


def preprocessed(frame: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
    """Turn a (H, W, 3) BGR frame into a (1, 3, h, w) normalised one."""
    resized = cv2.resize(frame, (spec.width, spec.height))
    if spec.order == "rgb":
        resized = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
    mean, std = (np.array(values, np.float32) for values in (spec.mean, spec.std))
    normalised = (resized.astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])


def eager(name: str) -> Segment:
    """PyTorch, eager."""
    network, spec = native(name)
    return _in_pytorch(network, spec.input)


def compiled(name: str) -> Segment:
    """``torch.compile`` with its default settings; the first call compiles, for a minute."""
    network, spec = native(name)
    return _in_pytorch(torch.compile(network), spec.input)


def _in_pytorch(network: Callable[[Tensor], Tensor], spec: InputSpec) -> Segment:
    def segment(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        with torch.inference_mode():
            logits = network(torch.from_numpy(preprocessed(frame, spec)))
            return logits.argmax(1)[0].to(torch.uint8).numpy()

    return segment


def plain_export(name: str, folder: Path) -> tuple[Path, InputSpec]:
    """Export the network alone, floats to logits, as the tutorials do."""
    network, spec = trained(name)
    path = folder / f"{name}.onnx"
    example = torch.zeros(1, 3, spec.input.height, spec.input.width)
    torch.onnx.export(network, (example,), path, dynamo=True, verbose=False, external_data=False)
    return path, spec.input


def in_onnx_runtime(path: Path, spec: InputSpec) -> Segment:
    """ONNX Runtime with its default settings, in FP32."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [given] = session.get_inputs()

    def segment(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        [logits] = session.run(None, {given.name: preprocessed(frame, spec)})
        return np.asarray(logits.argmax(1)[0], np.uint8)

    return segment


def in_openvino(path: Path, spec: InputSpec, **settings: str) -> Segment:
    """OpenVINO on the plain export; without settings it may compute in BF16."""
    model = openvino.compile_model(path, "CPU", {"PERFORMANCE_HINT": "LATENCY", **settings})

    def segment(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        logits = model(preprocessed(frame, spec))[0]
        return np.asarray(logits.argmax(1)[0], np.uint8)

    return segment
