"""The contract that every session fulfils."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from random_frames import frames

from pipeline.errors import EngineError
from pipeline.runtimes.session import Session


class SessionContract:
    """A base for test classes, in a file with the fixture ``session``.

    Class maps of the session are 120 x 90, with at most eleven classes.
    """

    @pytest.mark.parametrize("count", [1, 3])
    @pytest.mark.parametrize("size", [(90, 120), (240, 321), (64, 64)])
    def test_class_maps_have_the_promised_form(
        self, session: Session, count: int, size: tuple[int, int]
    ) -> None:
        classes = session.run(frames(count, size))
        assert classes.dtype == np.uint8
        assert classes.shape == (count, 90, 120)
        assert session.output_spec.shape[-2:] == (90, 120)
        assert classes.max() < 11

    def test_a_batch_gives_what_its_frames_give_alone(self, session: Session) -> None:
        batch = frames(3)
        together = session.run(batch)
        alone = np.concatenate([session.run(frame[None]) for frame in batch])
        assert np.mean(together == alone) > 0.999

    def test_results_belong_to_the_caller(self, session: Session) -> None:
        first = session.run(frames(seed=1))
        kept = first.copy()
        session.run(frames(seed=2))
        assert np.array_equal(first, kept)

    def test_a_frame_that_is_not_contiguous_is_read_right(self, session: Session) -> None:
        batch = frames(1, (90, 240))[:, :, ::2]
        assert not batch.flags.c_contiguous
        assert np.array_equal(session.run(batch), session.run(batch.copy()))

    @pytest.mark.parametrize(
        "wrong",
        [
            np.zeros((90, 120, 3), np.uint8),
            np.zeros((1, 90, 120, 3), np.float32),
            np.zeros((1, 3, 90, 120), np.uint8),
        ],
        ids=["no batch", "floats", "channels first"],
    )
    def test_other_arrays_are_refused_with_both_shapes(
        self, session: Session, wrong: np.ndarray
    ) -> None:
        with pytest.raises(EngineError, match=r"takes uint8 frames of shape \(N, H, W, 3\)"):
            session.run(wrong)

    def test_another_thread_may_run_it(self, session: Session) -> None:
        expected, found = session.run(frames()), []
        thread = threading.Thread(target=lambda: found.append(session.run(frames())))
        thread.start()
        thread.join(30)
        assert np.array_equal(found[0], expected)

    def test_closing_twice_does_nothing(self, session: Session) -> None:
        session.close()
        session.close()
