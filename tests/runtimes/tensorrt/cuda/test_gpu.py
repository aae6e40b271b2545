"""Tests that need a GPU; without one, each is skipped and names the missing part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.classes import CAMVID
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine
from pipeline.runtimes.registry import missing, open_session
from pipeline.runtimes.session import Session
from pipeline.runtimes.tensorrt.cuda.painting import Canvas, Painter
from pipeline.stream.overlay import Overlay, OverlayOptions

pytestmark = pytest.mark.gpu

RUNTIMES = ("tensorrt", "tensorrt-rtx")


@pytest.fixture(scope="module", params=RUNTIMES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    if reason := missing(request.param):
        pytest.skip(f"no GPU test of {request.param}: {reason}")
    options = BuildOptions(
        "segnet_lite",
        size=(120, 90),
        runtime=request.param,
        precision="fp16",
        output=tmp_path_factory.mktemp("gpu"),
    )
    return build(options, lambda what, share: None)


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with open_session(engine) as opened:
        yield opened


def test_class_maps_are_those_of_the_processor(session: Session, small_engine: Engine) -> None:
    random = np.random.default_rng(0)
    frames = cv2.blur(random.integers(0, 256, (90, 120, 3), dtype=np.uint8), (9, 9))[None]
    with open_session(small_engine) as reference:
        assert np.mean(session.run(frames) == reference.run(frames)) > 0.98


def test_two_runs_under_way_give_what_they_give_alone(session: Session) -> None:
    random = np.random.default_rng(1)
    batches = [random.integers(0, 256, (1, 480, 640, 3), dtype=np.uint8) for _ in range(8)]
    alone = [session.run(batch) for batch in batches]
    for first, second in zip(range(0, 8, 2), range(1, 8, 2), strict=True):
        pending = [session.submit(batches[first]), session.submit(batches[second])]
        assert np.array_equal(pending[0].result().classes, alone[first])
        assert np.array_equal(pending[1].result().classes, alone[second])


def test_the_session_paints_as_the_processor_does(session: Session) -> None:
    overlay = Overlay(CAMVID, OverlayOptions(legend=False))
    frame = np.random.default_rng(2).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    segmented = session.submit(frame[None], overlay.tint).result()
    assert segmented.pictures is not None
    coloured = overlay._coloured(segmented.classes[0], (640, 480))
    assert (
        cv2.absdiff(segmented.pictures[0], cv2.addWeighted(frame, 0.5, coloured, 0.5, 0)).max() <= 1
    )


def test_the_runtime_cache_is_kept(engine: Engine) -> None:
    if engine.manifest.runtime != "tensorrt-rtx":
        pytest.skip("only TensorRT for RTX has a runtime cache")
    with open_session(engine) as session:
        session.run(np.zeros((1, 90, 120, 3), np.uint8))
    assert Path(engine.path.with_suffix(".rtxcache")).stat().st_size > 0


def test_the_kernel_runs_on_the_gpu() -> None:
    if reason := missing("tensorrt-rtx"):
        pytest.skip(f"no GPU test of the overlay: {reason}")
    from pipeline.runtimes.tensorrt.cuda.driver import open_gpu

    gpu = open_gpu()
    overlay = Overlay(CAMVID, OverlayOptions(opacity=0.3, legend=False))
    random = np.random.default_rng(3)
    frame = random.integers(0, 256, (719, 1279, 3), dtype=np.uint8)
    classes = random.integers(0, 12, (360, 480), dtype=np.uint8)
    with gpu.active():
        stream = gpu.stream()
        memories = [gpu.host_memory(size) for size in (frame.size, classes.size, frame.size)]
        memories[0].array[:], memories[1].array[:] = frame.ravel(), classes.ravel()
        painter = Painter(gpu, (360, 480), stream)
        assert overlay.tint is not None
        painter.paint(Canvas(*(m.address for m in memories), (1, 719, 1279)), overlay.tint)
        stream.synchronize()
        found = memories[2].array.reshape(frame.shape).copy()
        for thing in (painter, *memories, stream):
            thing.release()
    expected = cv2.addWeighted(frame, 0.7, overlay._coloured(classes, (1279, 719)), 0.3, 0)
    assert cv2.absdiff(found, expected).max() <= 1
