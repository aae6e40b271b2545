"""Durations, percentiles and rates of streams."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.stream.timing import Rate, RecentRate, RecentTimes, StageTimes, Times, percentiles


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_percentiles_are_within_half_a_percent_of_the_nearest_rank(percent: int) -> None:
    seconds = np.random.default_rng(3).lognormal(mean=-4, sigma=1.5, size=5000)
    times = Times()
    for value in seconds:
        times.add(float(value))
    exact = np.percentile(seconds, percent, method="inverted_cdf") * 1e3
    assert times.summary()[f"p{percent}"] == pytest.approx(exact, rel=0.005)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentiles([4.0, 1.0, 3.0, 2.0], (50, 95, 99)) == [2.0, 4.0, 4.0]
    assert percentiles([7.0], (50, 99)) == [7.0, 7.0]


def test_one_duration_is_all_its_percentiles_exactly() -> None:
    times = Times()
    times.add(0.0123)
    assert times.summary() == {"p50": 12.3, "p95": 12.3, "p99": 12.3}


def test_without_durations_nothing_is_claimed() -> None:
    times = Times()
    assert times.summary() == {"p50": None, "p95": None, "p99": None}


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 1e6])
def test_durations_outside_the_histogram_are_counted(seconds: float) -> None:
    times = Times()
    times.add(seconds)
    assert times.count == 1
    assert times.summary()["p50"] == pytest.approx(max(seconds, 0) * 1e3, abs=1e-3)


def test_rate_is_intervals_over_the_time_between_first_and_last() -> None:
    rate = Rate()
    for moment in (10.0, 10.1, 10.2, 10.5):
        rate.add(moment)
    assert rate.per_second == pytest.approx(3 / 0.5)


def test_one_moment_has_no_rate() -> None:
    rate, recent = Rate(), RecentRate()
    rate.add(1.0)
    recent.add(1.0)
    assert rate.per_second is None
    assert recent.per_second is None


def test_the_recent_rate_forgets() -> None:
    recent = RecentRate(window=3)
    for moment in (0.0, 100.0, 100.5, 101.0):
        recent.add(moment)
    assert recent.per_second == pytest.approx(2.0)


def test_a_stage_that_raises_is_not_timed() -> None:
    stages = StageTimes()
    with pytest.raises(ZeroDivisionError), stages.measure("infer", 0):
        _ = 1 / 0
    with stages.measure("draw", 0):
        pass
    assert list(stages.summary()) == ["draw"]


def test_recent_times_forget_what_is_long_ago() -> None:
    times = RecentTimes(window=100)
    assert times.summary() == {"p50": None, "p95": None, "p99": None}
    for seconds in (5.0, *(one / 1000 for one in range(1, 101))):
        times.add(seconds)
    assert times.summary() == {"p50": 50.0, "p95": 95.0, "p99": 99.0}


def test_times_of_two_sources_together_are_those_of_all_durations() -> None:
    one, other, both = Times(), Times(), Times()
    for value in (0.001, 0.002, 0.009):
        one.add(value)
        both.add(value)
    for value in (0.0005, 0.05):
        other.add(value)
        both.add(value)
    one.absorb(other)
    assert one.summary() == both.summary()
    assert one.count == both.count


def test_the_rate_of_two_sources_together_counts_all_moments() -> None:
    one, other, together = Rate(), Rate(), Rate()
    for moment in (10.0, 11.0):
        one.add(moment)
    for moment in (9.0, 12.0, 13.0):
        other.add(moment)
    together.absorb(one)
    together.absorb(other)
    assert together.per_second == 4 / 4
