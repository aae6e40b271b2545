"""One contract for every kind of session."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from random_frames import frames
from rigs import Rig, open_rig, small_input

from models.registry import build_model, model_spec
from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.eager import EagerSession
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Session
from pipeline.runtimes.tensorrt.session import TensorRTSession

#: The session of TensorRT over each of ``rigs``: the double, the stand-in driver, a GPU.
TENSORRT = {"tensorrt": "double", "tensorrt, stand-in": "stand-in", "tensorrt, GPU": "gpu"}
KINDS = (
    "openvino",
    *(pytest.param(kind, marks=pytest.mark.gpu if "GPU" in kind else ()) for kind in TENSORRT),
    "eager",
    "null",
)


@pytest.fixture
def make_session(
    request: pytest.FixtureRequest, engine_of: Callable[[Rig], Engine]
) -> Callable[[str], Session]:
    def make(kind: str) -> Session:
        if kind in TENSORRT:
            rig = open_rig(TENSORRT[kind], lambda: request.getfixturevalue("host_kernel"))
            return TensorRTSession(engine_of(rig), rig.platform)
        if kind == "openvino":
            return open_session(request.getfixturevalue("small_engine"))
        if kind == "eager":
            network = build_model(model_spec("segnet_lite"))
            return EagerSession(DeploymentGraph(network, small_input()))
        return NullSession(120, 90)

    return make


@pytest.fixture(params=KINDS)
def session(
    request: pytest.FixtureRequest, make_session: Callable[[str], Session]
) -> Iterator[Session]:
    with make_session(request.param) as opened:
        yield opened


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("size", [(90, 120), (240, 321), (64, 64)])
def test_class_maps_have_the_promised_form(
    session: Session, count: int, size: tuple[int, int]
) -> None:
    classes = session.run(frames(count, size))
    assert classes.dtype == np.uint8
    assert classes.shape == (count, 90, 120)
    assert session.output_spec.shape[-2:] == (90, 120)
    assert classes.max() < 11


def test_a_batch_gives_what_its_frames_give_alone(session: Session) -> None:
    batch = frames(3)
    together = session.run(batch)
    alone = np.concatenate([session.run(frame[None]) for frame in batch])
    assert np.mean(together == alone) > 0.999


def test_results_belong_to_the_caller(session: Session) -> None:
    first = session.run(frames(seed=1))
    kept = first.copy()
    session.run(frames(seed=2))
    assert np.array_equal(first, kept)


def test_a_frame_that_is_not_contiguous_is_read_right(session: Session) -> None:
    batch = frames(1, (90, 240))[:, :, ::2]
    assert not batch.flags.c_contiguous
    assert np.array_equal(session.run(batch), session.run(batch.copy()))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((90, 120, 3), np.uint8),
        np.zeros((1, 90, 120, 3), np.float32),
        np.zeros((1, 3, 90, 120), np.uint8),
    ],
    ids=["no batch", "floats", "channels first"],
)
def test_other_arrays_are_refused_with_both_shapes(session: Session, wrong: np.ndarray) -> None:
    with pytest.raises(EngineError, match=r"takes uint8 frames of shape \(N, H, W, 3\)"):
        session.run(wrong)


def test_another_thread_may_run_it(session: Session) -> None:
    expected, found = session.run(frames()), []
    thread = threading.Thread(target=lambda: found.append(session.run(frames())))
    thread.start()
    thread.join(30)
    assert np.array_equal(found[0], expected)


def test_closing_twice_does_nothing(session: Session) -> None:
    session.close()
    session.close()


@pytest.mark.parametrize("kind", KINDS)
def test_capabilities_are_told(make_session: Callable[[str], Session], kind: str) -> None:
    with make_session(kind) as session:
        assert session.capabilities.runtime == kind.partition(",")[0]
        assert session.capabilities.device
        assert session.capabilities.precision


def test_a_closed_engine_says_so(small_engine: Engine) -> None:
    session = open_session(small_engine)
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.run(frames())


@pytest.mark.parametrize(
    "module", ["pipeline.stream.runner", "pipeline.runtimes.openvino.session", "pipeline.cli"]
)
def test_the_camera_path_works_without_torch(module: str) -> None:
    code = f"import {module}, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
