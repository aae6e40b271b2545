"""One camera that the engine or the drawing cannot handle, next to others that work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from stream_doubles import Collect, Marks, Numbers

from pipeline.errors import EngineError
from pipeline.runtimes.session import ClassMaps, Frames, Pending, Segmented, Tint
from pipeline.stream import StreamInput, StreamOptions, run_inputs
from pipeline.stream.drawing import Drawing
from pipeline.stream.smoothing import Smoother

#: Height and width that the session refuses.
LARGE = (48, 128)


class Narrow(Marks):
    """Refuses frames wider than 64 pixels, as an engine for smaller ones does."""

    error: type[Exception] = EngineError

    def __init__(self, batch: int | None = 1) -> None:
        super().__init__()
        self.input_spec = replace(self.input_spec, shape=(batch, *self.input_spec.shape[1:]))

    def _run(self, frames: Frames) -> ClassMaps:
        if frames.shape[2] > 64:
            raise self.error(f"frames of {frames.shape[2]}x{frames.shape[1]} were given")
        return super()._run(frames)


class Crashes(Narrow):
    error = RuntimeError


class Late(Narrow):
    """Fails only when the result is requested, with two runs in progress."""

    def __init__(self, batch: int | None = 1) -> None:
        super().__init__(batch)
        self.capabilities = replace(self.capabilities, in_flight=2)

    def _submit(self, frames: Frames, tint: Tint | None) -> Pending:
        run = super()._run

        class Waits(Pending):
            def result(self) -> Segmented:
                if frames.shape[2] > 64:
                    raise EngineError("frames of 128x48 were given")
                return Segmented(run(frames))

        return Waits()


@pytest.mark.parametrize("live", [False, True], ids=["files", "cameras"])
@pytest.mark.parametrize("kind", [Narrow, Crashes, Late])
@pytest.mark.parametrize("batch", [1, None, 4])
def test_a_frame_that_the_engine_refuses_ends_its_own_channel_alone(
    live: bool, kind: Callable[[int | None], Narrow], batch: int | None
) -> None:
    sinks = [Collect() for _ in range(3)]
    sources = [Numbers(40, live=live, interval=0.001, size=size) for size in ((48, 64), LARGE)]
    sources.append(Numbers(40, live=live, interval=0.001))
    inputs = [StreamInput(one, [sink]) for one, sink in zip(sources, sinks, strict=True)]
    report = run_inputs(kind(batch), inputs)
    [problem] = report.problems
    assert "frames of 128x48 were given" in problem
    for place in (0, 2):
        one = report.sources[place]
        assert (one.read, one.frames + one.dropped, one.problems) == (40, 40, ())
        if not live:
            assert sinks[place].indices == list(range(40))
    odd = report.sources[1]
    assert odd.frames == 0
    assert odd.read == odd.dropped > 0
    assert sources[1].closed_by


@pytest.mark.parametrize("live", [False, True], ids=["files", "cameras"])
@pytest.mark.parametrize("batch", [None, 4])
def test_one_bad_frame_of_a_batch_ends_the_channel_that_it_came_from(
    live: bool, batch: int | None
) -> None:
    class Picky(Narrow):
        def _run(self, frames: Frames) -> ClassMaps:
            if (frames[:, 0, 0, 0] == 77).any():
                raise EngineError("a frame that cannot be taken")
            return super()._run(frames)

    class Bad(Numbers):
        def _read(self):  # type: ignore[no-untyped-def]
            frame = super()._read()
            return frame and replace(frame, image=np.full_like(frame.image, 77))

    sinks = [Collect(), Collect()]
    sources = [Numbers(40, live=live, interval=0.001), Bad(40, live=live, interval=0.001)]
    inputs = [StreamInput(one, [sink]) for one, sink in zip(sources, sinks, strict=True)]
    report = run_inputs(Picky(batch), inputs)
    assert report.problems == ("a frame that cannot be taken",)
    assert sinks[0].finished
    assert not sinks[1].results
    assert report.sources[0].frames + report.sources[0].dropped == 40
    assert report.read == report.frames + report.dropped


def test_a_session_that_is_broken_ends_all() -> None:
    class Broken(Narrow):
        def _run(self, frames: Frames) -> ClassMaps:
            raise EngineError("the session broke")

    inputs = [StreamInput(Numbers(), [Collect()]) for _ in range(3)]
    with pytest.raises(EngineError, match="the session broke"):
        run_inputs(Broken(), inputs)


@pytest.mark.parametrize(
    ("owner", "name", "options"),
    [
        (Drawing, "drawn", StreamOptions()),
        (Smoother, "smooth", StreamOptions(smooth=True)),
    ],
    ids=["drawing", "smoothing"],
)
@pytest.mark.parametrize("live", [False, True], ids=["files", "cameras"])
def test_a_mistake_in_drawing_or_smoothing_ends_one_source(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, options: StreamOptions, live: bool
) -> None:
    work = getattr(owner, name)

    def fails(self: object, given: object, *more: object) -> object:
        frame = getattr(given, "frame", given)
        if frame.image.shape[:2] == LARGE and frame.index >= 5:  # type: ignore[attr-defined]
            raise ZeroDivisionError("a mistake")
        return work(self, given, *more)

    monkeypatch.setattr(owner, name, fails)
    sinks = [Collect(), Collect()]
    sources = [
        Numbers(40, live=live, interval=0.004),
        Numbers(40, live=live, interval=0.004, size=LARGE),
    ]
    inputs = [StreamInput(one, [sink]) for one, sink in zip(sources, sinks, strict=True)]
    report = run_inputs(Marks(), inputs, options)
    assert report.problems == ("ZeroDivisionError: a mistake",)
    assert report.sources[0].read == 40
    assert sinks[0].finished
    if not live:
        assert sinks[0].indices == list(range(40))
        assert sinks[1].indices == list(range(5))
    assert report.read == report.frames + report.dropped
