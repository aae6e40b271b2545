"""Engines on the real Triton server, that of nvidia-pytriton, and the session that uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from random_frames import frames
from session_contract import SessionContract
from stream_doubles import Collect, Numbers
from tiny_openvino import CLASSES, write_engine
from triton_server import TritonServer

from models.spec import LoadedWeights
from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError, OutputError
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Session
from pipeline.runtimes.triton.client import Limits
from pipeline.runtimes.triton.config import Serving, model_config, to_text
from pipeline.runtimes.triton.export import ExportOptions, export_model
from pipeline.runtimes.triton.session import open_triton
from pipeline.stream import StreamInput, StreamOptions, run_inputs
from pipeline.stream.sources import open_source

model_config_pb2 = pytest.importorskip(
    "tritonclient.grpc.model_config_pb2", reason="scripts/check_scale.sh runs these tests"
)

ROOT = Path(__file__).resolve().parents[2]
SHORT = Limits(run=2.0, away=4.0)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return write_engine(tmp_path_factory.mktemp("small"), "small", (120, 90), channels=8)


@pytest.fixture(scope="module")
def server(small: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """Serves ``small``, and a third-party model."""
    python = os.environ.get("ROADSEG_TRITON_PYTHON")
    assert python, "ROADSEG_TRITON_PYTHON is not set: scripts/check_scale.sh runs these tests"
    folder = tmp_path_factory.mktemp("triton")
    repository = folder / "repository"
    export_model(small, ExportOptions(repository, "small", "python"))
    _write_foreign(repository / "foreign")
    server = TritonServer(Path(python), repository, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _write_foreign(folder: Path) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(
        'name: "foreign" backend: "python" max_batch_size: 1\n'
        'input { name: "x" data_type: TYPE_FP32 dims: 4 }\n'
        'output { name: "y" data_type: TYPE_FP32 dims: 4 }\n',
        encoding="utf-8",
    )
    code = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
    (folder / "1" / "model.py").write_text(code, encoding="utf-8")


@pytest.fixture
def session(server: TritonServer) -> Iterator[Session]:
    with open_triton(server.address("small"), SHORT)[1] as opened:
        yield opened


@pytest.fixture
def local(small: Engine) -> Iterator[Session]:
    with open_session(small) as opened:
        yield opened


class TestContract(SessionContract):
    """The behaviour common to every session."""


@pytest.mark.parametrize("shared", [True, False], ids=["shared memory", "gRPC"])
def test_class_maps_are_those_of_the_local_session_bit_for_bit(
    session: Session, local: Session, shared: bool
) -> None:
    for buffers in session._all:
        buffers.shared = shared
    for size in ((90, 120), (240, 321), (720, 1280)):
        batch = frames(2, size)
        assert np.array_equal(session.run(batch), local.run(batch))
    assert [buffers.shared for buffers in session._all] == [shared] * len(session._all)


def test_several_frames_are_in_flight_and_come_in_their_order(
    session: Session, local: Session
) -> None:
    count = session.capabilities.in_flight
    assert count > 1
    images = [frames(1, seed=seed) for seed in range(2 * count)]
    pending = [session.submit(image) for image in images[:count]]
    found = []
    for image in images[count:]:
        found.append(pending.pop(0).result().classes)
        pending.append(session.submit(image))
    found += [one.result().classes for one in pending]
    for image, classes in zip(images, found, strict=True):
        assert np.array_equal(classes, local.run(image))


def test_capabilities_and_classes_come_from_the_server(server: TritonServer) -> None:
    manifest, session = open_triton(server.address("small"))
    with session:
        assert manifest.classes == CLASSES
        assert session.capabilities.runtime == "triton"
        assert session.capabilities.precision == "fp32"
        assert f":{server.port}" in session.capabilities.device


def test_a_closed_session_says_so(session: Session) -> None:
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.run(frames())


def test_no_shared_memory_is_left(server: TritonServer) -> None:
    with open_triton(server.address("small"))[1] as session:
        session.run(frames())
        assert [*Path("/dev/shm").glob("roadseg-*")]
    assert [*Path("/dev/shm").glob("roadseg-*")] == []


def test_eight_cameras_at_once_get_what_each_would_alone(
    server: TritonServer, local: Session
) -> None:
    sinks = [Collect() for _ in range(8)]
    inputs = [
        StreamInput(open_source(f"synthetic:{64 + 32 * place}x96"), [sink])
        for place, sink in enumerate(sinks)
    ]
    manifest, session = open_triton(server.address("small"))
    with session:
        report = run_inputs(session, inputs, StreamOptions(classes=manifest.classes, frames=6))
    assert report.frames == 48
    for sink in sinks:
        assert [result.frame.index for result in sink.results] == list(range(6))
        for result in sink.results:
            assert np.array_equal(result.classes, local.run(result.frame.image[None])[0])


def test_the_newest_frame_of_a_camera_wins(server: TritonServer) -> None:
    """A camera faster than the server: a shown frame is never older than the one due next."""
    sink = Collect()
    camera = Numbers(200, live=True, interval=0.001)
    manifest, session = open_triton(server.address("small"))
    with session:
        report = run_inputs(
            session, [StreamInput(camera, [sink])], StreamOptions(classes=manifest.classes)
        )
    shown = [result.frame.index for result in sink.results]
    assert shown == sorted(set(shown))
    assert report.frames + report.dropped == 200


def test_a_server_that_is_killed_and_started_again_is_found_again(
    server: TritonServer, local: Session
) -> None:
    images = [frames(1, seed=seed) for seed in range(3)]
    with open_triton(server.address("small"))[1] as session:
        assert np.array_equal(session.run(images[0]), local.run(images[0]))
        pending = session.submit(images[1])
        server.kill()
        after = session.submit(images[2])
        back = threading.Thread(target=server.start)
        back.start()
        assert np.array_equal(pending.result().classes, local.run(images[1]))
        assert np.array_equal(after.result().classes, local.run(images[2]))
        back.join()


def test_a_server_that_hangs_is_given_up_and_waited_for_when_it_goes_on(
    server: TritonServer, local: Session
) -> None:
    limits = Limits(run=0.3, away=1.0)
    with open_triton(server.address("small"), limits)[1] as session:
        server.signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(EngineError, match=r"no Triton server answers at 127\.0\.0\.1"):
                session.run(frames())
            assert time.monotonic() - began >= limits.away
        finally:
            server.signal(signal.SIGCONT)
    with open_triton(server.address("small"))[1] as session:
        assert np.array_equal(session.run(frames()), local.run(frames()))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("nothing", "has no model nothing that is ready"),
        ("foreign", "not written by 'roadseg export-triton'"),
    ],
)
def test_a_wrong_model_is_one_line(server: TritonServer, model: str, reason: str) -> None:
    with pytest.raises(EngineError, match=reason) as caught:
        open_triton(server.address(model), SHORT)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line() -> None:
    with pytest.raises(EngineError, match=r"no Triton server answers at 127\.0\.0\.1:9"):
        open_triton("triton://127.0.0.1:9/small", SHORT)


@pytest.mark.parametrize("text", ["triton://host", "triton://:8001/x", "triton://host:x/y"])
def test_an_address_that_is_none_is_one_line(text: str) -> None:
    with pytest.raises(EngineError, match="give triton://HOST:8001/NAME"):
        open_triton(text)


def test_what_the_server_refuses_is_told_in_its_words(session: Session, local: Session) -> None:
    session._most = 2  # it accepts only one frame at once
    with pytest.raises(EngineError, match=r"refuses the frames .*batch-size must be <= 1"):
        session.run(frames(2))
    assert np.array_equal(session.run(frames(1)), local.run(frames(1)))


def test_the_command_line_runs_a_served_model(server: TritonServer, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "run", server.address("small")]
    command += ["--source", "synthetic:128x96", "--frames", "3"]
    command += ["--sink", str(tmp_path / "out.jsonl"), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("backend", ["openvino", "python", "tensorrt"])
@pytest.mark.parametrize("most", [1, 8])
def test_the_description_is_read_by_the_definitions_of_triton(
    small: Engine, backend: str, most: int
) -> None:
    manifest = replace(
        small.manifest,
        name='a "name"',
        frames=replace(small.manifest.frames, batch=most, batch_range=(1, 1, most)),
        weights=LoadedWeights("Grüße\n", None),
    )
    text = to_text(model_config(manifest, Serving("one", backend, 2)))
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("one", backend, most)
    assert config.HasField("dynamic_batching") == (most > 1)
    assert [*config.input[0].dims] == [-1, -1, 3]
    assert [*config.output[0].dims] == [90, 120]
    assert config.input[0].data_type == config.output[0].data_type == model_config_pb2.TYPE_UINT8
    kinds = model_config_pb2.ModelInstanceGroup
    expected = kinds.KIND_GPU if backend == "tensorrt" else kinds.KIND_CPU
    assert (config.instance_group[0].kind, config.instance_group[0].count) == (expected, 2)
    assert config.version_policy.latest.num_versions == 1
    assert config.model_warmup[0].inputs["frames"].dims == [90, 120, 3]
    served = json.loads(config.parameters["roadseg_manifest"].string_value)
    assert served["weights"]["name"] == "Grüße\n"
    assert served["name"] == 'a "name"'


def test_an_export_takes_the_place_of_an_older_one_and_of_nothing_else(
    small: Engine, engine: Engine, tmp_path: Path
) -> None:
    options = ExportOptions(tmp_path / "repository", "one")
    folder = export_model(small, options).folder
    assert sorted(path.name for path in folder.rglob("*")) == [
        "1",
        "config.pbtxt",
        "labels.txt",
        "model.bin",
        "model.xml",
        "one.json",
    ]
    export_model(small, options)
    (folder / "one.json").unlink()
    with pytest.raises(OutputError, match="no export of roadseg"):
        export_model(small, options)
    export_model(engine, replace(options, force=True))
    assert (folder / "1" / "model.bin").read_bytes() == engine.read(1)
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]
