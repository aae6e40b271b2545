"""PyTorch itself as a session: the reference that every engine is compared with."""

from __future__ import annotations

import torch

from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.ensemble import EnsembleGraph
from pipeline.runtimes.session import Capabilities, ClassMaps, Frames, Session, TensorSpec


class EagerSession(Session):
    """Runs a deployment graph in eager FP32.

    Args:
        graph: as the compilers get it, or an ensemble of several.
    """

    def __init__(self, graph: DeploymentGraph | EnsembleGraph) -> None:
        self._graph = graph.eval()
        self.input_spec = TensorSpec("frames", "uint8", (None, None, None, 3), "NHWC, BGR")
        self.output_spec = TensorSpec("classes", "uint8", (None, *graph.size), "NHW")
        self.capabilities = Capabilities("eager", "CPU", str(graph.dtype).removeprefix("torch."))

    @torch.inference_mode()
    def _run(self, frames: Frames) -> ClassMaps:
        classes: ClassMaps = self._graph(torch.from_numpy(frames)).numpy()
        return classes

    def close(self) -> None:
        pass
