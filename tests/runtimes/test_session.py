"""One contract for every kind of session."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from device_double import GpuDouble, TensorRTDouble
from random_frames import frames
from session_contract import SessionContract
from torch import nn

from models.registry import build_model, model_spec
from pipeline.engine.manifest import Engine, describe_file
from pipeline.errors import EngineError
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.eager import EagerSession
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.onnx_export import export_onnx
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Session
from pipeline.runtimes.tensorrt.session import Platform, TensorRTSession

KINDS = ("openvino", "tensorrt", "eager", "null")


def over_the_double(engine: Engine, folder: Path) -> Session:
    """Open a TensorRT session on a GPU made of host memory, which runs an ONNX file."""
    file = folder / "double.engine"
    network = nn.Conv2d(3, 11, 3, padding=1)
    export_onnx(DeploymentGraph(network, engine.manifest.input).eval(), file)
    manifest = replace(
        engine.manifest,
        runtime="tensorrt",
        runtime_version=TensorRTDouble.__version__,
        files=(describe_file(file),),
        settings={},
    )
    gpu = GpuDouble(lambda *_: None)
    return TensorRTSession(Engine(manifest, folder), Platform(TensorRTDouble(gpu), gpu))


@pytest.fixture
def make_session(small_engine: Engine, tmp_path: Path) -> Callable[[str], Session]:
    def make(kind: str) -> Session:
        if kind == "tensorrt":
            return over_the_double(small_engine, tmp_path)
        if kind == "openvino":
            return open_session(small_engine)
        if kind == "eager":
            spec = model_spec("segnet_lite")
            return EagerSession(DeploymentGraph(build_model(spec), small_engine.manifest.input))
        return NullSession(120, 90)

    return make


@pytest.fixture(params=KINDS)
def session(
    request: pytest.FixtureRequest, make_session: Callable[[str], Session]
) -> Iterator[Session]:
    with make_session(request.param) as opened:
        yield opened


class TestContract(SessionContract):
    """What every kind does alike."""


@pytest.mark.parametrize("kind", KINDS)
def test_capabilities_are_told(make_session: Callable[[str], Session], kind: str) -> None:
    with make_session(kind) as session:
        assert session.capabilities.runtime == kind
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
