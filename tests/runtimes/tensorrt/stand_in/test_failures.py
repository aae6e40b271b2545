"""The whole program with real pycuda, where each of the driver's calls fails in turn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from planned_failures import Plan, Result, read_result
from random_frames import frames
from rigs import require_stand_in, small_manifest
from stand_in_driver import ILLEGAL_ADDRESS, INVALID_VALUE, OUT_OF_MEMORY

from pipeline.engine.manifest import describe_file, write_manifest

require_stand_in()

_SUPPORT = Path(__file__).parents[3] / "support"
_ROOT = _SUPPORT.parents[1]

#: Calls in pycuda's destructors, where a failure prints two lines of pycuda's own.
_FREES = {
    "cuMemFree_v2",
    "cuMemFreeHost",
    "cuModuleUnload",
    "cuEventDestroy_v2",
    "cuStreamDestroy_v2",
    "cuDevicePrimaryCtxRelease_v2",
}
#: Calls that may fail once without consequences: the check whether the driver still answers,
#: NVRTC's own calls, and pushing and popping the context during the release.
_HARMLESS = {
    "cuCtxSynchronize",
    "cuInit",
    "cuStreamSynchronize",
    "cuCtxPushCurrent_v2",
    "cuCtxPopCurrent_v2",
}

Run = Callable[[list[Plan]], list[Result]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run ``roadseg run`` on two pictures once for each plan."""
    folder = tmp_path_factory.mktemp("failures")
    file = folder / "double.engine"
    file.write_bytes(b"90 120")
    write_manifest(folder, small_manifest(describe_file(file), "sm89"))
    pictures = folder / "pictures"
    pictures.mkdir()
    # Two sizes, so that there are two runs, both in progress at once.
    for place, size in enumerate(((120, 160), (90, 120))):
        cv2.imwrite(str(pictures / f"{place}.png"), frames(1, size)[0])
    sinks = ["--sink", "overlays:OVERLAYS", "--sink", "masks-index:MASKS"]
    command = ["run", str(file), "--source", str(pictures), *sinks, "--quiet"]

    def run(plans: list[Plan]) -> list[Result]:
        lines = "".join(f"{plan.place} {plan.error} {int(plan.late)}\n" for plan in plans)
        program = [sys.executable, str(_SUPPORT / "forked_runs.py"), str(folder), *command]
        done = subprocess.run(program, input=lines, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
        return [read_result(line) for line in done.stdout.splitlines()]

    return run


@pytest.fixture(scope="module")
def healthy(run: Run) -> Result:
    """A run in which nothing fails."""
    [result] = run([Plan(-1, 0)])
    assert result.status == 0
    return result


def test_a_healthy_run_holds_nothing_at_its_end_and_says_nothing(healthy: Result) -> None:
    assert healthy.said == healthy.complaints == ()
    assert healthy.held == ""
    assert healthy.calls > 80


def _run_all(run: Run, plans: list[Plan]) -> list[Result]:
    results = run(plans)
    assert len(results) == len(plans)
    for result in results:
        assert result.status in {0, 1}, result
        assert result.complaints == (), result
        if result.status == 1:
            told = [line for line in result.said if not _is_pycudas(line)]
            assert len(told) == 1, result
            assert told[0].startswith("error: "), result
        if result.failed not in _FREES or result.plan.late:
            assert not any(map(_is_pycudas, result.said)), result
    return results


def _is_pycudas(line: str) -> bool:
    """Whether pycuda's destructors printed it; they print errors that nothing can catch."""
    name = line.partition(" failed: ")[0]
    return line.startswith("PyCUDA WARNING: a clean-up") or {name, f"{name}_v2"} & _FREES != set()


def _assert_harmless(result: Result, healthy: Result) -> None:
    """After the last result, an error is logged at most."""
    assert result.masks == healthy.masks, result
    assert result.failed in _FREES | _HARMLESS, result
    logged = [line for line in result.said if not _is_pycudas(line)]
    assert len(logged) <= 1, result
    assert all("not everything on the GPU could be released" in line for line in logged), result


@pytest.fixture(scope="module")
def refused(run: Run, healthy: Result) -> list[Result]:
    """Each call refused once, in turn."""
    return _run_all(run, [Plan(place, INVALID_VALUE) for place in range(healthy.calls)])


def _places(refused: list[Result], names: set[str]) -> list[int]:
    return [result.plan.place for result in refused if result.failed in names]


@pytest.mark.slow
def test_a_call_that_is_refused_is_one_line_and_nothing_is_left(
    refused: list[Result], healthy: Result
) -> None:
    failed = 0
    for result in refused:
        assert result.held == "", result
        if result.status == 1:
            failed += 1
        else:
            _assert_harmless(result, healthy)
    assert failed > 40


def test_too_little_memory_is_one_line_unless_there_is_some_when_asked_again(
    run: Run, healthy: Result, refused: list[Result]
) -> None:
    places = _places(refused, {"cuMemAlloc_v2", "cuMemHostAlloc", "cuStreamCreate"})
    assert len(places) > 6
    for result in _run_all(run, [Plan(place, OUT_OF_MEMORY) for place in places]):
        assert result.held == "", result
        if result.status == 0:  # pycuda collects garbage and tries again
            assert result.masks == healthy.masks, result
        else:
            assert "close other programs" in result.said[0], result


@pytest.mark.slow
def test_after_an_error_that_ends_all_calls_one_line_says_what_to_do(
    run: Run, healthy: Result
) -> None:
    told = 0
    for result in _run_all(run, [Plan(p, ILLEGAL_ADDRESS) for p in range(healthy.calls)]):
        if result.status == 1:
            told += "restart the process" in result.said[-1]
        else:
            _assert_harmless(result, healthy)
    assert told > 40


@pytest.mark.slow
def test_work_that_fails_is_told_by_a_later_call_and_what_to_do(
    run: Run, healthy: Result, refused: list[Result]
) -> None:
    names = {"cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuLaunchKernel", "cuLaunchHostFunc"}
    places = _places(refused, names | {"cuEventRecord", "cuStreamWaitEvent"})
    assert len(places) > 20
    for result in _run_all(run, [Plan(place, ILLEGAL_ADDRESS, late=True) for place in places]):
        assert result.status == 1, result
        assert "restart the process" in result.said[0], result
