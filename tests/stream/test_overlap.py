"""Streams over sessions that allow several runs at once: files gain, cameras lose nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stream_doubles import Collect, Marks, Numbers

from pipeline.errors import EngineError
from pipeline.runtimes.session import Done, Frames, Pending, Segmented, Tint
from pipeline.stream import StreamOptions, run
from pipeline.stream.overlay import OverlayOptions


class _Counted(Pending):
    def __init__(self, session: Overlapping, segmented: Segmented) -> None:
        self.session, self.segmented = session, segmented

    def result(self) -> Segmented:
        assert self.session.under_way[0] is self, "results are taken in order"
        self.session.under_way.pop(0)
        return self.segmented


class Overlapping(Marks):
    """Accepts two runs, paints white, and remembers how many ran at once."""

    def __init__(self, fail_at: int | None = None) -> None:
        super().__init__()
        self.capabilities = replace(self.capabilities, in_flight=2, paints=True)
        self.under_way: list[_Counted] = []
        self.most = self.count = 0
        self.tints: list[Tint | None] = []
        self._fail_at = fail_at

    def _submit(self, frames: Frames, tint: Tint | None) -> Pending:
        self.count += 1
        if self.count - 1 == self._fail_at:
            raise EngineError("the GPU broke")
        white = np.full_like(frames, 255) if tint is not None else None
        run_ = _Counted(self, Segmented(self._run(frames), white))
        self.under_way.append(run_)
        self.most = max(self.most, len(self.under_way))
        self.tints.append(tint)
        return run_


class Looks(Collect):
    wants_overlay = True


def test_files_keep_two_runs_under_way_and_nothing_is_lost_or_mixed_up() -> None:
    session, sink = Overlapping(), Collect()
    run(session, Numbers(30), [sink])
    assert session.most == 2
    assert not session.under_way
    assert sink.indices == list(range(30))
    assert all((r.classes == r.frame.index % 11).all() for r in sink.results)


def test_a_cameras_frame_never_waits_behind_another() -> None:
    session = Overlapping()
    run(session, Numbers(30, live=True, interval=0.001), [Collect()])
    assert session.most == 1


def test_after_a_failure_nothing_is_left_under_way() -> None:
    session = Overlapping(fail_at=7)
    with pytest.raises(EngineError, match="the GPU broke"):
        run(session, Numbers(30), [Collect()])
    assert session.count == 8
    assert not session.under_way


def test_a_picture_that_the_session_painted_is_shown() -> None:
    session, sink = Overlapping(), Looks()
    run(session, Numbers(5, size=(240, 320)), [sink])
    assert all((result.overlay[120, 200] == 255).all() for result in sink.results)
    assert all(tint is not None for tint in session.tints)


@pytest.mark.parametrize(
    "options",
    [{"smooth": True}, {"overlay": OverlayOptions(fine_edges=True)}],
    ids=["smooth", "fine edges"],
)
def test_what_only_the_processor_can_draw_is_not_asked_of_the_session(
    options: dict[str, Any],
) -> None:
    session, sink = Overlapping(), Looks()
    run(session, Numbers(5), [sink], StreamOptions(**options))
    assert session.tints == [None] * 5
    assert all(result.overlay is not None for result in sink.results)


def test_a_session_that_works_while_it_is_called_is_done_at_once() -> None:
    frames = np.full((1, 48, 64, 3), 3, np.uint8)
    pending = Marks().submit(frames)
    assert isinstance(pending, Done)
    assert (pending.result().classes == 3).all()
