"""Everything that a session does, once; for tests that make something fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from random_frames import frames

from pipeline.engine.manifest import Engine
from pipeline.runtimes.tensorrt.platform import Platform
from pipeline.runtimes.tensorrt.session import TensorRTSession
from pipeline.stream.overlay import Overlay


def scenario(engine: Engine, platform: Platform) -> None:
    """Open; run two at once with and without pictures, then more than fit at once; close."""
    tint = Overlay(engine.manifest.classes).tint
    with TensorRTSession(engine, platform) as session:
        first = session.submit(frames(), tint)
        second = session.submit(frames(1, (120, 160)))
        first.result()
        second.result()
        session.run(frames(5))


def rtx_engine(engine: Engine, folder: Path) -> Engine:
    """Return the engine as one of TensorRT for RTX, in a separate folder."""
    folder.joinpath("double.engine").write_bytes(engine.path.read_bytes())
    manifest = replace(engine.manifest, runtime="tensorrt-rtx")
    return Engine(manifest, folder)
