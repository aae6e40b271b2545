"""The TensorRT session on all platforms that can test it: see ``rigs``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from random_frames import frames
from rigs import Rig

from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError
from pipeline.runtimes.eager import EagerSession
from pipeline.runtimes.tensorrt.buffer_set import BufferSet
from pipeline.runtimes.tensorrt.session import TensorRTSession
from pipeline.stream.overlay import Overlay


@pytest.fixture
def engine(rig: Rig, engine_of: Callable[[Rig], Engine]) -> Engine:
    return engine_of(rig)


@pytest.fixture
def session(engine: Engine, rig: Rig) -> Iterator[TensorRTSession]:
    with TensorRTSession(engine, rig.platform) as opened:
        yield opened
    assert not rig.held()


@pytest.mark.parametrize("count", [1, 2, 4, 11])
def test_class_maps_are_those_of_pytorch(
    session: TensorRTSession, reference: EagerSession, count: int
) -> None:
    batch = frames(count)
    found = session.run(batch)
    assert found.shape == (count, 90, 120)
    assert np.mean(found == reference.run(batch)) > 0.998


def test_frames_may_change_their_size(session: TensorRTSession, reference: EagerSession) -> None:
    for size in ((90, 120), (240, 321), (64, 64), (240, 320)):
        batch = frames(2, size)
        assert np.mean(session.run(batch) == reference.run(batch)) > 0.998


def test_two_runs_under_way_do_not_disturb_each_other(
    session: TensorRTSession, reference: EagerSession
) -> None:
    batches = [frames(2, seed=seed) for seed in range(6)]
    expected = [reference.run(batch) for batch in batches]
    found, pending = [], []
    for batch in batches:
        if len(pending) == session.capabilities.in_flight:
            found.append(pending.pop(0).result().classes)
        taken = batch.copy()
        pending.append(session.submit(taken))
        taken[:] = 0  # the caller may reuse its frames at once
    found += [run.result().classes for run in pending]
    for maps, right in zip(found, expected, strict=True):
        assert np.mean(maps == right) > 0.998


def test_results_belong_to_the_caller(session: TensorRTSession) -> None:
    first = session.run(frames(seed=1))
    kept = first.copy()
    for seed in range(3):
        session.run(frames(seed=seed))
    assert np.array_equal(first, kept)


def test_the_next_run_is_copied_in_before_the_first_is_done(
    session: TensorRTSession, rig: Rig
) -> None:
    begin = len(rig.calls())
    first, second = session.submit(frames()), session.submit(frames())
    assert "event.synchronize" not in rig.calls()[begin:]
    assert rig.calls()[begin:].count("execution itself") == 2
    first.result()
    second.result()


def test_pictures_are_those_of_the_processor(session: TensorRTSession, engine: Engine) -> None:
    overlay = Overlay(engine.manifest.classes)
    assert session.capabilities.paints
    batch = frames(2, (240, 320))
    segmented = session.submit(batch, overlay.tint).result()
    assert segmented.pictures is not None
    shares = np.zeros(len(engine.manifest.classes))
    for frame, classes, picture in zip(batch, segmented.classes, segmented.pictures, strict=True):
        expected = overlay.draw(frame, classes, shares, "status")
        found = overlay.finish(picture, shares, "status")
        assert np.abs(found.astype(int) - expected).max() <= 1


def test_no_picture_is_made_unless_it_is_asked_for(session: TensorRTSession) -> None:
    assert session.submit(frames()).result().pictures is None


def test_times_of_the_device_are_told(session: TensorRTSession, engine: Engine) -> None:
    plain = session.submit(frames()).result()
    assert list(plain.device_ms) == ["copy in", "execute", "copy out"]
    tint = Overlay(engine.manifest.classes).tint
    assert "paint" in session.submit(frames(), tint).result().device_ms


def test_a_third_run_and_a_result_out_of_turn_are_refused(session: TensorRTSession) -> None:
    first, second = session.submit(frames()), session.submit(frames())
    with pytest.raises(ValueError, match="2 runs are under way"):
        session.submit(frames())
    with pytest.raises(ValueError, match="in the order"):
        second.result()
    first.result()
    second.result()
    with pytest.raises(ValueError, match="once"):
        second.result()


@pytest.mark.parametrize(
    ("count", "size"), [(1, (32, 120)), (1, (90, 4000)), (5, (90, 120))], ids=str
)
def test_frames_that_the_engine_does_not_take_leave_the_session_whole(
    session: TensorRTSession, count: int, size: tuple[int, int]
) -> None:
    with pytest.raises(EngineError, match=r"takes up to 4 of"):
        session.submit(frames(count, size))
    session.run(frames())


def test_another_thread_may_run_and_close_it(session: TensorRTSession) -> None:
    expected, found = session.run(frames()), []

    def work() -> None:
        found.append(session.run(frames()))
        session.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert np.array_equal(found[0], expected)


def test_many_sessions_share_one_gpu(engine: Engine, rig: Rig) -> None:
    platform = rig.platform
    with TensorRTSession(engine, platform) as one, TensorRTSession(engine, platform) as other:
        first, second = one.submit(frames(seed=1)), other.submit(frames(seed=2))
        both = second.result().classes, first.result().classes
        assert np.array_equal(both[0], one.run(frames(seed=2)))
        assert np.array_equal(both[1], other.run(frames(seed=1)))
    assert not rig.held()


@pytest.mark.parametrize("mapped_ms", [0.5, 1.0, 2.0])
def test_shared_memory_is_read_in_place_where_that_is_faster_and_only_there(
    engine: Engine,
    rig: Rig,
    reference: EagerSession,
    monkeypatch: pytest.MonkeyPatch,
    mapped_ms: float,
) -> None:
    """A Jetson's GPU does not cache memory that it reads in place."""
    small = replace(engine.manifest.frames, sizes=((64, 64), (120, 90), (640, 480)))
    engine = replace(engine, manifest=replace(engine.manifest, frames=small))

    def times(buffers: BufferSet) -> dict[str, float]:
        return {"execute": mapped_ms if buffers.frames.mapped else 1.0}

    monkeypatch.setattr(BufferSet, "times", times)
    rig.share_memory()
    tint = Overlay(engine.manifest.classes).tint
    with TensorRTSession(engine, rig.platform) as session:
        begin = len(rig.calls())
        assert np.mean(session.run(frames(3)) == reference.run(frames(3))) > 0.998
        in_place = mapped_ms < 1.0
        assert ("copy_in" not in rig.calls()[begin:]) is in_place
        assert ("copy_out" not in rig.calls()[begin:]) is in_place
        session.submit(frames(), tint).result()
        assert "copy_out" in rig.calls()[begin:]  # pictures are written byte by byte
    assert not rig.held()


def test_cameras_of_several_sizes_share_the_painter_s_tables(
    session: TensorRTSession, rig: Rig, engine: Engine
) -> None:
    tint = Overlay(engine.manifest.classes).tint
    sizes = ((240, 320), (120, 160))
    for size in sizes * 2:  # both sets of buffers grow to the larger one
        session.submit(frames(1, size), tint).result()
    begin = len(rig.calls())
    for size in sizes * 3:
        session.submit(frames(1, size), tint).result()
    assert {"device_memory", "host_memory", "free"}.isdisjoint(rig.calls()[begin:])


def test_closing_with_runs_under_way_gives_everything_back(engine: Engine, rig: Rig) -> None:
    session = TensorRTSession(engine, rig.platform)
    pending = session.submit(frames())
    session.submit(frames())
    session.close()
    session.close()
    assert not rig.held()
    with pytest.raises(EngineError, match="closed"):
        pending.result()
    with pytest.raises(EngineError, match="closed"):
        session.run(frames())
