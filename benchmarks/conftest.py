"""Fixtures of the benchmarks: an engine, a frame, a clip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from benchmarks.regression import plugin
from calibration.scenes.synthetic import SyntheticDrive
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Frames, Session

pytest_collection_modifyitems = plugin.pytest_collection_modifyitems
pytest_benchmark_update_json = plugin.pytest_benchmark_update_json
pytest_terminal_summary = plugin.pytest_terminal_summary

#: Frames of the clip that is segmented from end to end.
CLIP_FRAMES = 40


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--networks``, ``--precision`` and ``--slow``; ``--base`` and others for the gate."""
    parser.addoption(
        "--networks",
        default="segnet_lite,deeplab_v3plus_lite",
        help="networks with registered weights, with commas between them; default: the small ones",
    )
    parser.addoption("--precision", default="int8", help="of the engines; default: int8")
    parser.addoption(
        "--slow",
        action="store_true",
        help="also run what takes minutes: torch.compile, calibration",
    )
    plugin.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled engines of benchmarks out of the user's cache."""
    os.environ["ROADSEG_CACHE"] = ""
    plugin.pytest_configure(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run benchmarks with a network on each of ``--networks``."""
    if "network" in metafunc.fixturenames:
        names = metafunc.config.getoption("networks").split(",")
        metafunc.parametrize("network", names, scope="session")


@pytest.fixture(scope="session")
def slow(request: pytest.FixtureRequest) -> bool:
    """Whether to run what takes minutes."""
    return bool(request.config.getoption("slow"))


@pytest.fixture(scope="session")
def road_data() -> Path:
    """Folder with road data; skips where there is none."""
    folder = os.environ.get("ROADSEG_DATA")
    if not folder:
        pytest.skip("ROADSEG_DATA is not set: it names the folder of road data (docs/training.md)")
    return Path(folder)


@pytest.fixture(scope="session")
def engine(
    network: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Engine:
    """A network with trained weights, in ``--precision``."""
    precision = request.config.getoption("precision")
    folder = tmp_path_factory.mktemp("engines")
    return build(BuildOptions(network, precision=precision, output=folder), lambda *_: None)


@pytest.fixture(scope="session")
def int8_engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """``segnet_lite`` in INT8."""
    folder = tmp_path_factory.mktemp("engines")
    options = BuildOptions("segnet_lite", precision="int8", output=folder)
    return build(options, lambda what, share: None)


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """The engine, loaded."""
    with open_session(engine) as opened:
        yield opened


@pytest.fixture(scope="session")
def frame() -> Frames:
    """One frame of the drawn drive, (1, 540, 960, 3)."""
    image, _ = SyntheticDrive(960, 540).frame(0)
    return image[None]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video file of the drawn drive, so that every machine decodes the same pictures."""
    path = tmp_path_factory.mktemp("clip") / "drive.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (960, 540))
    drive = SyntheticDrive(960, 540)
    for i in range(CLIP_FRAMES):
        writer.write(drive.frame(i)[0])
    writer.release()
    return path
