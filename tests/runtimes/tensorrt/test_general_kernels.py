"""The time with general kernels is logged once, and only where runs became faster."""

from __future__ import annotations

import pytest

from pipeline.runtimes.tensorrt.general_kernels import GeneralKernels


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


def told(caplog: pytest.LogCaptureFixture, *runs: tuple[int, float]) -> list[str]:
    caplog.clear()
    watch = GeneralKernels(Clock())
    for width, ms in runs:
        watch.add((width, 480), ms)
    return [record.getMessage() for record in caplog.records]


def test_runs_that_became_shorter_are_told_once_for_each_size(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (message,) = told(caplog, *[(640, 9.0)] * 20, *[(640, 3.0)] * 20)
    assert message.startswith("frames of 640x480: general kernels ran for ")
    assert message.endswith("9.0 ms a run; now 3.0 ms")
    both = told(caplog, *[(640, 9.0)] * 5, *[(640, 3.0)] * 9, *[(320, 4.0)] * 5, *[(320, 1.0)] * 9)
    assert [message.split(":")[0] for message in both] == ["frames of 640x480", "frames of 320x480"]


def test_runs_that_stay_as_they_are_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    assert told(caplog, *[(640, 9.0), (640, 8.0)] * 40) == []
    assert told(caplog, *[(640, 9.0)] * 10, (640, 1.0), *[(640, 9.0)] * 10) == []  # by chance
