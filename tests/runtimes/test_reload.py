"""An engine replaced on disk while it runs: reloaded between frames, or refused."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.classes import ClassSet
from pipeline.engine.manifest import Engine, load_engine, write_manifest
from pipeline.errors import EngineError
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.reload import WatchedSession
from pipeline.runtimes.session import ClassMaps, Frames, Session

FRAME = np.zeros((1, 48, 64, 3), np.uint8)


class Numbered(NullSession):
    """Fills its class maps with one number; records that it was closed."""

    def __init__(self, number: int) -> None:
        super().__init__(64, 48)
        self.number = number
        self.closed = False
        self.shapes: list[tuple[int, ...]] = []

    def _run(self, frames: Frames) -> ClassMaps:
        self.shapes.append(frames.shape)
        if self.number == 13:
            raise EngineError("it does not run")
        return super()._run(frames) + np.uint8(self.number)

    def close(self) -> None:
        self.closed = True


class Shelf:
    """Opens real manifests, but null sessions: a new one per call."""

    def __init__(self) -> None:
        self.sessions: list[Numbered] = []
        self.numbers = iter(range(1, 100))

    def open(self, path: Path) -> tuple[Engine, Session]:
        engine = load_engine(path)
        self.sessions.append(Numbered(next(self.numbers)))
        return engine, self.sessions[-1]


@pytest.fixture
def engine(small_engine: Engine, tmp_path: Path) -> Engine:
    """A copy that a test may replace."""
    for path in small_engine.folder.iterdir():
        shutil.copy(path, tmp_path)
    return Engine(small_engine.manifest, tmp_path)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def watched(engine: Engine, shelf: Shelf) -> Iterator[WatchedSession]:
    with WatchedSession(engine.path, interval=0.01, open_=shelf.open) as session:
        yield session


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def runs_with(session: WatchedSession, number: int) -> Callable[[], bool]:
    return lambda: bool((session.run(FRAME) == number).all())


def test_a_replaced_engine_takes_over_between_frames(
    watched: WatchedSession, engine: Engine, shelf: Shelf
) -> None:
    assert (watched.run(FRAME) == 1).all()
    write_manifest(engine.folder, replace(engine.manifest, latency_ms={"p50": 7.0}))
    wait_until(runs_with(watched, 2))
    assert watched.engine.manifest.latency_ms == {"p50": 7.0}
    assert watched.swaps == 1
    first, second = shelf.sessions
    assert first.closed
    assert not second.closed
    assert second.shapes[0] == FRAME.shape, "it was not tried before it took over"


def test_an_engine_that_stays_is_not_loaded_again(watched: WatchedSession, shelf: Shelf) -> None:
    for _ in range(5):
        watched.run(FRAME)
        time.sleep(0.02)
    assert len(shelf.sessions) == 1


def truncate(engine: Engine) -> None:
    (engine.folder / f"{engine.manifest.name}.json").write_text("{")


def replace_by_other_file(engine: Engine) -> None:
    engine.path.write_bytes(b"not an engine")
    write_manifest(engine.folder, engine.manifest)


def other_classes(engine: Engine) -> None:
    classes = ClassSet(("road", "other"), ((1, 2, 3), (4, 5, 6)), 255)
    write_manifest(engine.folder, replace(engine.manifest, classes=classes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "damaged"),
        (replace_by_other_file, "cut or from another build"),
        (other_classes, "it has other classes (2, not the 11 of this run"),
    ],
)
def test_a_bad_engine_is_refused_with_one_line_and_the_old_one_goes_on(
    watched: WatchedSession,
    engine: Engine,
    shelf: Shelf,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Engine], None],
    message: str,
) -> None:
    whole = {path: path.read_bytes() for path in engine.folder.iterdir()}
    damage(engine)
    wait_until(lambda: watched.refusals == 1)
    time.sleep(0.05)
    assert runs_with(watched, 1)()
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert message in record.getMessage()
    assert "the old one stays in use" in record.getMessage()
    assert all(session.closed for session in shelf.sessions[1:])
    for path, content in whole.items():
        path.write_bytes(content)
    write_manifest(engine.folder, engine.manifest)
    wait_until(
        lambda: (watched.swaps == 0 and (watched.run(FRAME) > 1).all()) or watched.swaps == 1
    )


def test_an_engine_that_does_not_run_here_is_refused(
    watched: WatchedSession, engine: Engine, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.numbers = iter([13])
    write_manifest(engine.folder, engine.manifest)
    wait_until(lambda: watched.refusals == 1)
    assert "it does not run" in caplog.text
    assert runs_with(watched, 1)()
    assert shelf.sessions[1].closed


def test_a_manifest_that_is_away_for_a_while_is_waited_for(
    watched: WatchedSession, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = engine.folder / f"{engine.manifest.name}.json"
    document = json.loads(manifest.read_text())
    manifest.unlink()
    time.sleep(0.05)
    assert runs_with(watched, 1)()
    assert caplog.text == ""
    manifest.write_text(json.dumps(document))
    wait_until(runs_with(watched, 2))


def test_closing_closes_the_engine_and_one_that_waits(engine: Engine, shelf: Shelf) -> None:
    watched = WatchedSession(engine.path, interval=0.01, open_=shelf.open)
    write_manifest(engine.folder, engine.manifest)
    wait_until(lambda: len(shelf.sessions) == 2)
    watched.close()
    assert [session.closed for session in shelf.sessions] == [True, True]
    watched.close()


def test_the_first_engine_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not found"):
        WatchedSession(tmp_path / "no.engine")
