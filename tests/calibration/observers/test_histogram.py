"""Activation histograms count exactly, and each threshold is as its method promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.observers.histogram import (
    BINS,
    METHODS,
    SMALLEST_THRESHOLD,
    ActivationHistogram,
    clipped_share,
    threshold,
)

LEVELS = (127, 255)

#: A batch of activations: float32, from 2^-40 to 2^20 and zero.
MAGNITUDES = st.floats(2.0**-40, 2.0**20, width=32) | st.floats(0, 10, width=32).filter(
    lambda x: x == 0 or x > 2.0**-40
)
BATCHES = st.lists(
    st.lists(st.tuples(MAGNITUDES, st.booleans()), min_size=1, max_size=30), min_size=1, max_size=5
)


def counted(*batches: NDArray[np.float32]) -> ActivationHistogram:
    histogram = ActivationHistogram("conv1")
    for batch in batches:
        histogram.add(torch.from_numpy(batch))
    return histogram


def signed(batch: list[tuple[float, bool]]) -> NDArray[np.float32]:
    return np.array([-x if negative else x for x, negative in batch], np.float32)


def squared_error(values: NDArray[np.float32], reach: float, levels: int) -> float:
    """Mean squared error of symmetric quantisation, by actually quantising."""
    magnitudes = np.abs(values.astype(np.float64))
    step = reach / levels
    quantised = np.minimum(np.rint(magnitudes / step), levels) * step
    return float(np.mean((quantised - magnitudes) ** 2))


def distributions() -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(0)
    normal, laplace = random.normal(size=100_000), random.laplace(size=100_000)
    return {
        "normal": normal.astype(np.float32),
        "after a ReLU": np.maximum(normal, 0).astype(np.float32),
        "heavy tail": laplace.astype(np.float32),
        "ReLU6": np.clip(4 * normal, 0, 6).astype(np.float32),
        "one outlier": np.append(normal, 100).astype(np.float32),
        "many outliers": np.append(normal, laplace[:50] * 1000).astype(np.float32),
    }


DISTRIBUTIONS = distributions()


@given(BATCHES)
@settings(deadline=None)
def test_counts_are_exact_however_the_range_grew(given_: list[list[tuple[float, bool]]]) -> None:
    batches = [signed(batch) for batch in given_]
    everything = np.concatenate(batches)
    histogram = counted(*batches)
    width = histogram.limit / BINS
    bins = np.ceil(np.abs(everything.astype(np.float64)) / width).astype(int)
    assert np.array_equal(histogram.counts, np.bincount(bins, minlength=BINS + 1))
    assert histogram.counts[0] == np.count_nonzero(everything == 0)
    assert histogram.count == len(everything)
    assert (histogram.minimum, histogram.maximum) == (everything.min(), everything.max())
    backwards = counted(*batches[::-1])
    assert backwards.limit == histogram.limit
    assert np.array_equal(backwards.counts, histogram.counts)


@given(BATCHES, st.sampled_from(METHODS), st.sampled_from(LEVELS))
@settings(deadline=None)
def test_a_threshold_is_positive_and_never_beyond_the_largest_magnitude(
    given_: list[list[tuple[float, bool]]], method: str, levels: int
) -> None:
    histogram = counted(*map(signed, given_))
    found = threshold(histogram, method, levels)
    assert SMALLEST_THRESHOLD <= found <= max(histogram.magnitude, SMALLEST_THRESHOLD)
    assert 0 <= clipped_share(histogram, found) <= 1


def test_half_of_the_bins_at_least_lie_below_the_largest_magnitude() -> None:
    for largest in (0.01, 1.0, 1.0001, 77.7):
        histogram = counted(np.array([largest], np.float32))
        assert histogram.limit / 2 < histogram.magnitude <= histogram.limit


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_are_counted_as_their_values(dtype: torch.dtype) -> None:
    values = torch.linspace(-60000, 60000, 1001).to(dtype)
    histogram = ActivationHistogram("conv1")
    histogram.add(values)
    expected = counted(values.to(torch.float32).numpy())
    assert np.array_equal(histogram.counts, expected.counts)
    assert histogram.maximum == expected.maximum


def test_any_layout_and_shape_is_counted() -> None:
    values = torch.arange(-210, 210, dtype=torch.float32).reshape(2, 5, 6, 7).requires_grad_()
    plain, other = ActivationHistogram("plain"), ActivationHistogram("other")
    plain.add(values)
    other.add(values.to(memory_format=torch.channels_last)[..., ::2])
    other.add(values[..., 1::2])
    assert np.array_equal(plain.counts, other.counts)
    other.add(torch.zeros(1).expand(3, 4))
    other.add(torch.tensor(5.0))
    other.add(torch.empty(0, 3))
    assert other.count == plain.count + 13
    assert other.counts[0] == plain.counts[0] + 12


def test_a_tensor_of_more_values_than_one_chunk_is_counted_whole() -> None:
    values = torch.arange(300_001, dtype=torch.float32)
    histogram = ActivationHistogram("conv1")
    histogram.add(values)
    assert histogram.counts.sum() == histogram.count == 300_001
    assert histogram.counts[0] == 1
    assert (histogram.counts[1:] <= histogram.width).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused_with_the_name_of_its_layer(bad: float) -> None:
    histogram = counted(np.array([1, -2], np.float32))
    with pytest.raises(CalibrationError) as error:
        histogram.add(torch.tensor([[0.5, bad], [bad, 0.0]]))
    text = str(error.value)
    assert "layer conv1 gave" in text
    assert ("2 NaN and 0 infinite" if math.isnan(bad) else "0 NaN and 2 infinite") in text
    assert "\n" not in text
    assert (histogram.count, histogram.counts.sum(), histogram.maximum) == (2, 2, 1)


def test_a_layer_that_never_ran_has_no_threshold() -> None:
    with pytest.raises(CalibrationError, match="layer conv1 saw no value"):
        threshold(ActivationHistogram("conv1"), "minmax")


@pytest.mark.parametrize("method", METHODS)
def test_a_dead_layer_gets_a_scale_that_fp16_can_hold(method: str) -> None:
    histogram = counted(np.zeros(100, np.float32))
    found = threshold(histogram, method)
    assert found > 0
    assert np.float16(found / 255) > 0
    assert clipped_share(histogram, found) == 0


def test_minmax_clips_nothing() -> None:
    for values in DISTRIBUTIONS.values():
        histogram = counted(values)
        assert threshold(histogram, "minmax") == np.abs(values).max()
        assert clipped_share(histogram, threshold(histogram, "minmax")) == 0


@pytest.mark.parametrize("percent", [99.9, 99.99])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_percentiles_are_numpys_to_a_bin(name: str, percent: float) -> None:
    values = DISTRIBUTIONS[name]
    histogram = counted(values)
    expected = np.percentile(np.abs(values), percent, method="inverted_cdf")
    found = threshold(histogram, f"percentile_{percent}")
    assert 0 <= found - expected <= histogram.width
    assert clipped_share(histogram, found) <= 1 - percent / 100 + 1e-9


def test_a_percentile_that_lands_on_the_zeros_keeps_the_few_other_values() -> None:
    values = np.zeros(100_000, np.float32)
    values[:5] = 1, 2, 3, 4, 5
    assert threshold(counted(values), "percentile_99.99") == 5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_clipped_share_is_what_lies_beyond(name: str, method: str) -> None:
    values = DISTRIBUTIONS[name]
    histogram = counted(values)
    reach = threshold(histogram, method)
    magnitudes = np.abs(values)
    one_bin = np.mean(np.abs(magnitudes - reach) <= histogram.width)
    assert clipped_share(histogram, reach) == pytest.approx(
        np.mean(magnitudes > reach), abs=one_bin
    )


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_no_threshold_has_a_smaller_error_than_that_of_mse(name: str, levels: int) -> None:
    values = DISTRIBUTIONS[name]
    tried = np.geomspace(np.abs(values).max() / 300, np.abs(values).max(), 300)
    least = min(squared_error(values, reach, levels) for reach in tried)
    found = threshold(counted(values), "mse", levels)
    assert squared_error(values, found, levels) <= 1.01 * least


def divergence(counts: NDArray[np.int64], kept: int, levels: int) -> float:
    """KL divergence of the talk's pseudo-code, candidate by candidate."""
    reference = counts[:kept].astype(float)
    reference[-1] += counts[kept:].sum()
    candidate = np.zeros(kept)
    for group in range(levels + 1):
        part = slice(kept * group // (levels + 1), kept * (group + 1) // (levels + 1))
        used = counts[part] > 0
        if used.any():
            candidate[part] = used * counts[part].sum() / used.sum()
    if reference[-1] and not candidate[-1]:
        candidate[-1] = 1e-4
    p, q = reference / reference.sum(), candidate / counts[:kept].sum()
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / q[seen])).sum())


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_no_threshold_diverges_less_than_that_of_entropy(name: str, levels: int) -> None:
    histogram = counted(DISTRIBUTIONS[name])
    used = math.ceil(histogram.magnitude / histogram.width)
    counts = histogram.counts[1 : used + used % 2 + 1].reshape(-1, 2).sum(1)
    found = threshold(histogram, "entropy", levels)
    kept = math.ceil(found / histogram.width / 2)
    candidates = range(levels + 1, len(counts) + 1, 16)
    least = min(divergence(counts, candidate, levels) for candidate in candidates)
    assert divergence(counts, kept, levels) <= 1.02 * least + 1e-6


@pytest.mark.parametrize("levels", LEVELS)
def test_entropy_clips_an_outlier_that_minmax_keeps(levels: int) -> None:
    histogram = counted(DISTRIBUTIONS["one outlier"])
    assert threshold(histogram, "minmax", levels) == 100
    assert threshold(histogram, "entropy", levels) < 10
    assert clipped_share(histogram, threshold(histogram, "entropy", levels)) < 1e-3


@pytest.mark.parametrize("levels", LEVELS)
def test_entropy_keeps_all_of_an_even_distribution(levels: int) -> None:
    values = np.random.default_rng(0).uniform(-3, 3, 1_000_000).astype(np.float32)
    assert threshold(counted(values), "entropy", levels) > 2.97


@pytest.mark.parametrize("method", ["entropy", "mse"])
def test_zeros_do_not_move_a_threshold(method: str) -> None:
    values = DISTRIBUTIONS["heavy tail"]
    padded = counted(values, np.zeros(3 * len(values), np.float32))
    assert threshold(padded, method) == threshold(counted(values), method)


def test_finer_steps_reach_at_least_as_far_in_mse() -> None:
    for values in DISTRIBUTIONS.values():
        histogram = counted(values)
        assert threshold(histogram, "mse", 255) >= 0.99 * threshold(histogram, "mse", 127)


def test_the_largest_float_is_counted() -> None:
    largest = np.finfo(np.float32).max
    histogram = counted(np.array([1, -largest], np.float32))
    assert threshold(histogram, "minmax") == largest
    assert histogram.counts.sum() == 2
    assert math.isfinite(threshold(histogram, "mse"))


def test_the_names_of_the_methods_are_those_that_tables_are_written_with() -> None:
    assert METHODS == ("minmax", "percentile_99.99", "percentile_99.9", "entropy", "mse")
