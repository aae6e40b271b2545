"""The trained networks in FP16, channels last: eager PyTorch, and compiled by it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

#: Networks with weights in models/trained, smallest first; the last are skipped if time runs out.
_NETWORKS = ("segnet_lite", "deeplab_v3plus_lite", "fcn8s_lite", "deeplab_v2_lite", "segnet")
_WARM_UP, _RUNS, _SECONDS = 10, 50, 75


def measure(write: Callable[..., None], scale: float) -> None:
    """Time each network at its own size, one frame at a time, by CUDA events."""
    import torch

    if not torch.cuda.is_available():
        raise ImportError("PyTorch sees no GPU")
    write(gpu=torch.cuda.get_device_name(), torch=torch.__version__)
    began = time.monotonic()
    found: dict[str, Any] = {}
    for name in _NETWORKS:
        if time.monotonic() - began > _SECONDS * scale:
            found[name] = {"left_out": "no time"}
            continue
        try:
            found[name] = _network(name)
        except Exception as error:
            found[name] = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
        write(networks=found)


def _network(name: str) -> dict[str, Any]:
    import torch

    from models.registry import build_model, model_spec
    from models.weights import load_weights, registered_weights
    from pipeline.graph.deployment import DeploymentGraph

    spec = model_spec(name)
    network = build_model(spec)
    if registered_weights(name) is None:
        return {"left_out": "no trained weights here"}
    load_weights(network, spec, None)
    size = (1, spec.input.height, spec.input.width, 3)
    frame = torch.from_numpy(np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8))
    graph = DeploymentGraph(network, spec.input).eval()
    with torch.inference_mode():
        expected = graph(frame)
        half = graph.with_dtype(torch.float16).to("cuda", memory_format=torch.channels_last)
        frame = frame.to("cuda")
        agreement = (half(frame).cpu() == expected).float().mean().item()
        eager = _ms(half, frame)
        began = time.monotonic()
        compiled = torch.compile(half, dynamic=False)
        same = (compiled(frame).cpu() == expected).float().mean().item()
        seconds = time.monotonic() - began
        return {
            "size": size,
            "agreement_with_fp32_on_the_processor": {"eager": agreement, "compiled": same},
            "eager_ms": eager,
            "compiled_ms": _ms(compiled, frame),
            "compile_s": seconds,
        }


def _ms(graph: Any, frame: Any) -> float:
    import torch

    for _ in range(_WARM_UP):
        graph(frame)
    times = []
    for _ in range(_RUNS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph(frame)
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)
