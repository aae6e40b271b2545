"""What the benchmarks share: an engine, a frame, a clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from calibration.synthetic import SyntheticDrive
from pipeline.build import build
from pipeline.build_options import BuildOptions
from pipeline.engine import Engine
from pipeline.sessions import open_session
from pipeline.sessions.base import Frames, Session

#: Frames of the clip that is segmented from end to end.
CLIP_FRAMES = 40


@pytest.fixture(scope="session", params=["segnet_lite", "deeplab_v3plus_lite"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A network with trained weights, as a user builds it."""
    options = BuildOptions(request.param, output=tmp_path_factory.mktemp("engines"))
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
