"""Times on a GPU: one run, two at once, painting, and CUDA graphs where TensorRT has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.classes import CAMVID
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine
from pipeline.runtimes.registry import missing
from pipeline.runtimes.session import Pending
from pipeline.runtimes.tensorrt.session import TensorRTSession
from pipeline.stream.overlay import Overlay

pytestmark = pytest.mark.gpu

_FRAMES = 50


@pytest.fixture(scope="module", params=["tensorrt", "tensorrt-rtx"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    if reason := missing(request.param):
        pytest.skip(f"no benchmark of {request.param}: {reason}")
    folder: Path = tmp_path_factory.mktemp("gpu")
    options = BuildOptions("segnet_lite", runtime=request.param, precision="fp16", output=folder)
    return build(options, lambda what, share: None)


@pytest.mark.parametrize("graphs", [False, True], ids=["launches", "graphs"])
@pytest.mark.parametrize("under_way", [1, 2])
@pytest.mark.parametrize("painted", [False, True], ids=["maps", "pictures"])
def test_fifty_frames(
    benchmark: Callable[..., Any], engine: Engine, graphs: bool, under_way: int, painted: bool
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 720, 1280, 3), dtype=np.uint8)
    tint = Overlay(CAMVID).tint if painted else None
    with TensorRTSession(engine, graphs=graphs) as session:

        def stream() -> None:
            pending: deque[Pending] = deque()
            for _ in range(_FRAMES):
                if len(pending) == under_way:
                    pending.popleft().result()
                pending.append(session.submit(frame, tint))
            while pending:
                pending.popleft().result()

        stream()
        benchmark(stream)
