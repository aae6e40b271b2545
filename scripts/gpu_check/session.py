"""The session with PyTorch in TensorRT's place, against the processor: many sizes and batches."""

from __future__ import annotations

import statistics
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.engine.manifest import Engine
from pipeline.runtimes.session import Pending, Segmented
from pipeline.runtimes.tensorrt.session import TensorRTSession
from pipeline.stream.overlay import Overlay

_LOW = 0.995


def measure(write: Callable[..., None], scale: float) -> None:
    """Run random sizes and batches, two under way at a time; compare with the processor."""
    import torch
    from rigs import open_stand_in_rig, small_input, write_engine
    from stand_in_driver import stand_in
    from torch import nn

    from pipeline.graph.deployment import DeploymentGraph

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 11, 3, padding=1)
    )
    graph = DeploymentGraph(network, small_input()).eval()
    if stand_in() is None:
        if not torch.cuda.is_available():
            raise ImportError("PyTorch sees no GPU")
        from rigs import GpuRig

        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        rig: Any = GpuRig()
    else:
        rig = open_stand_in_rig()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = write_engine(rig, graph, folder)
        reference, by = _reference(graph, folder)
        write(gpu=rig.gpu.info.name, compared_with=by)
        with TensorRTSession(engine, rig.platform) as session:
            write(**_compare(session, engine, reference, int(500 * scale), write))


def _reference(graph: Any, folder: Path) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """Return a function that computes class maps on the processor, by ONNX Runtime or PyTorch."""
    import torch

    try:
        import onnxruntime

        from pipeline.runtimes.onnx_export import export_onnx

        export_onnx(graph.to("cpu"), folder / "reference.onnx")
        session = onnxruntime.InferenceSession(folder / "reference.onnx")
        name = session.get_inputs()[0].name

        def run(frames: np.ndarray) -> np.ndarray:
            return np.concatenate([session.run(None, {name: one[None]})[0] for one in frames])

        return run, f"ONNX Runtime {onnxruntime.__version__}"
    except ImportError as error:

        def eager(frames: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                found: np.ndarray = graph(torch.from_numpy(frames)).numpy()
            return found

        return eager, f"PyTorch on the processor, since ONNX Runtime cannot be used ({error})"


def _compare(
    session: TensorRTSession,
    engine: Engine,
    reference: Callable[[np.ndarray], np.ndarray],
    count: int,
    write: Callable[..., None],
) -> dict[str, Any]:
    random = np.random.default_rng(0)
    tint = Overlay(engine.manifest.classes).tint
    shares: list[float] = []
    times: dict[str, list[float]] = {}
    pending: deque[tuple[np.ndarray, Pending]] = deque()

    def take() -> None:
        frames, run = pending.popleft()
        segmented: Segmented = run.result()
        for name, ms in segmented.device_ms.items():
            times.setdefault(name, []).append(ms)
        shares.append(float(np.mean(segmented.classes == reference(frames))))

    for place in range(count):
        batch, height, width = random.integers((1, 64, 64), (5, 720, 1280))
        frames = random.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
        if len(pending) == session.capabilities.in_flight:
            take()
        pending.append((frames, session.submit(frames, tint if place % 3 == 0 else None)))
        if place % 50 == 49:
            write(runs=len(shares), lowest_agreement=min(shares))
    while pending:
        take()
    found = {
        "runs": len(shares),
        "lowest_agreement": min(shares),
        "mean_agreement": statistics.fmean(shares),
        "median_ms": {name: statistics.median(ms) for name, ms in times.items()},
    }
    if min(shares) < _LOW:
        found["failed"] = f"a class map agrees in {min(shares):.4f} of its pixels only"
    return found
