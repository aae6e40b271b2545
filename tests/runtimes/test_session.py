"""The contract that all kinds of sessions fulfil."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from random_frames import frames
from rigs import Rig, open_rig, small_input
from session_contract import SessionContract

from models.registry import build_model, model_spec
from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.eager import EagerSession
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.openvino.session import OpenVINOSession
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Session
from pipeline.runtimes.tensorrt.session import TensorRTSession

#: The session of TensorRT on each of ``rigs``: the double, the stand-in driver, a GPU.
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


class TestContract(SessionContract):
    """The contract common to all kinds."""


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


@pytest.mark.parametrize("threads", [1, 2])
def test_engines_of_several_processes_do_not_share_the_first_cores(
    threads: int, small_engine: Engine
) -> None:
    """OpenVINO pins threads to cores from the first one; two processes took twice the time."""
    with OpenVINOSession(small_engine, threads) as session:
        assert session._model is not None
        assert session._model.get_property("INFERENCE_NUM_THREADS") == threads
        assert session._model.get_property("ENABLE_CPU_PINNING") is False
