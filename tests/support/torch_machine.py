"""PyTorch instead of TensorRT on a GPU: it uses the session's own stream and device pointers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from tensorrt_double import End, Run
from torch import nn


def save_graph(graph: nn.Module, path: Path) -> None:
    """Write a deployment graph as an engine of :class:`TorchMachine`."""
    torch.save(graph, path)


class _Raw:
    """Bytes on the device in the form that PyTorch accepts."""

    def __init__(self, address: int, shape: tuple[int, ...]) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
        }


class TorchMachine:
    """Runs deployment graphs; needs a GPU and a PyTorch built for it."""

    def __init__(self) -> None:
        self.layer_names: list[str] = []

    def fails(self, name: str) -> bool:
        return False

    def load(self, serialized: bytes) -> TorchProgram:
        graph = torch.load(io.BytesIO(serialized), weights_only=False)
        return TorchProgram(graph.to("cuda").eval())

    def wait(self, stream: int) -> None:
        torch.cuda.ExternalStream(stream).synchronize()


class TorchProgram:
    """A deployment graph on the GPU."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        size = tuple(graph.size)
        self.ends = (End("frames", "uint8", (-1, -1, -1, 3)), End("classes", "uint8", (-1, *size)))

    @torch.inference_mode()
    def begin(self, run: Run) -> None:
        with torch.cuda.stream(torch.cuda.ExternalStream(run.stream)):
            frames = torch.as_tensor(_Raw(run.source, run.shape), device="cuda")
            shape = (run.shape[0], *self.ends[1].shape[1:])
            classes = torch.as_tensor(_Raw(run.target, shape), device="cuda")
            classes.copy_(self._graph(frames))
