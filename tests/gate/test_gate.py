"""The FPS gate on recorded figures: what it lets through, what it stops, and what it writes."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from time import perf_counter as clock

import numpy as np
import pytest

from pipeline.build.options import BuildOptions
from pipeline.errors import BenchmarkError
from pipeline.gate import __main__ as command
from pipeline.gate.baseline import Figure, Subject, read_baseline, read_file, write_baseline
from pipeline.gate.engines import gate_engines
from pipeline.gate.history import history_page
from pipeline.gate.judge import Finding, judge, record
from pipeline.gate.measure import CALM, Measured, Suite, Timed, Turn, bytes_of, summary, take_turns

SUBJECT = Subject("x86_64-avx512_vnni-2", "openvino", "2026.4.1-22982-e213", "int8")

#: Latency of segnet_lite as multiples of the reference, from runs on an unchanged tree.
LATENCIES = (3.31, 3.28, 3.40, 3.35, 3.30)


def measured(latency: float, **others: Figure) -> Measured:
    figures = {
        "segnet_lite latency": Figure("time", latency, latency * 12.0),
        "segnet_lite bytes of a run": Figure("bytes", 176_000.0),
        "segnet_lite mIoU": Figure("share", 0.5604),
    }
    return Measured({**figures, **others}, {})


def without(run: Measured, name: str, why: str | None = None) -> Measured:
    figures = {key: figure for key, figure in run.figures.items() if key != name}
    return Measured(figures, {} if why is None else {name: why})


def label(reason: str = "first figures", commit: str = "1234567") -> dict[str, str]:
    return {"recorded": "2026-11-23", "commit": commit, "reason": reason}


BASELINE = record(SUBJECT, [measured(latency) for latency in LATENCIES], None, label())


class Again:
    """Gives a recorded second measurement, and remembers what it was asked for."""

    def __init__(self, run: Measured) -> None:
        self.run = run
        self.asked: list[Collection[str]] = []

    def __call__(self, names: Collection[str]) -> Measured:
        self.asked.append(names)
        return self.run


def failing(findings: list[Finding]) -> list[str]:
    return [one.name for one in findings if not one.passes]


def test_a_baseline_is_the_median_of_its_runs_and_allows_what_they_spread() -> None:
    latency = BASELINE.figures["segnet_lite latency"]
    assert latency.figure.value == 3.31
    assert latency.spread == pytest.approx(3.40 / 3.31 - 1, abs=1e-4)
    assert latency.limit == 0.15
    noisy = record(SUBJECT, [measured(x) for x in (3.0, 2.4, 3.1, 3.0, 3.6)], None, label())
    assert noisy.figures["segnet_lite latency"].limit == pytest.approx(0.3)


@pytest.mark.parametrize("latency", [*LATENCIES, 3.31 * 1.149, 1.0])
def test_noise_and_gains_pass_without_a_second_measurement(latency: float) -> None:
    again = Again(measured(9.9))
    assert failing(judge(BASELINE, measured(latency), again)) == []
    assert again.asked == []


def test_a_loss_that_is_there_twice_fails_and_says_how_much_was_lost() -> None:
    findings = judge(BASELINE, measured(4.2), Again(measured(4.0)))
    assert failing(findings) == ["segnet_lite latency"]
    [words] = [one.words() for one in findings if not one.passes]
    assert "lost 20.8% in both of two measurements, allowed 15.0%" in words
    assert "3.31 x reference (39.7 ms) -> 4.00 x reference (48.0 ms)" in words


def test_a_loss_that_is_gone_the_second_time_is_not_believed() -> None:
    again = Again(measured(3.3))
    assert failing(judge(BASELINE, measured(4.9), again)) == []
    assert again.asked == [["segnet_lite latency"]]


def test_a_copy_of_each_frame_fails_where_no_clock_would_see_it() -> None:
    copied = {"segnet_lite bytes of a run": Figure("bytes", 176_000.0 + 960 * 540 * 3)}
    run = measured(3.33, **copied)
    assert failing(judge(BASELINE, run, Again(run))) == ["segnet_lite bytes of a run"]


def test_bytes_of_counts_a_copy_and_nothing_of_what_was_there_before() -> None:
    frame = np.zeros((540, 960, 3), np.uint8)
    results = np.zeros(1000, np.uint8)
    assert bytes_of(lambda: results.copy()).value == pytest.approx(1000, abs=2000)
    needless = bytes_of(lambda: frame.copy()[:1].copy()).value
    assert needless == pytest.approx(frame.nbytes, rel=0.01)


@pytest.mark.parametrize(("miou", "passes"), [(0.5604, True), (0.556, True), (0.55, False)])
def test_accuracy_is_gated_beside_speed(miou: float, passes: bool) -> None:
    run = measured(3.3, **{"segnet_lite mIoU": Figure("share", miou)})
    assert (failing(judge(BASELINE, run, Again(run))) == []) is passes


def test_a_figure_that_one_side_does_not_have_fails() -> None:
    gone = judge(BASELINE, without(measured(3.3), "segnet_lite latency"), Again(measured(3.3)))
    assert failing(gone) == ["segnet_lite latency"]
    assert "not in this run" in " ".join(one.words() for one in gone)
    new = measured(3.3, **{"unet latency": Figure("time", 5.0)})
    findings = judge(BASELINE, new, Again(new))
    assert failing(findings) == ["unet latency"]
    assert "--update --reason" in findings[-1].words()


def test_a_figure_that_this_machine_cannot_measure_is_named_and_not_judged() -> None:
    run = without(measured(3.3), "segnet_lite mIoU", "ROADSEG_DATA is not set")
    findings = judge(BASELINE, run, Again(run))
    assert failing(findings) == []
    [words] = [one.words() for one in findings if one.name == "segnet_lite mIoU"]
    assert words == "segnet_lite mIoU: not judged, ROADSEG_DATA is not set"


def turn(wall: float, disturbed: float, processor: float = 2.0) -> Turn:
    return Turn(wall, processor, wall * 12, disturbed)


def test_the_clock_counts_only_turns_in_which_others_left_the_machine_alone() -> None:
    calm = [turn(3.3, 0.0), turn(3.2, CALM), turn(3.4, 0.01), turn(3.3, 0.02)]
    disturbed = [turn(5.5, 0.5), turn(6.1, 0.4), turn(9.0, 0.6), turn(5.0, 0.3), turn(4.9, 0.2)]
    figures = summary({"latency": calm + disturbed}).figures
    assert figures["latency"].value == pytest.approx(3.3)
    assert figures["processor time of latency"].value == 2.0


def test_a_machine_that_others_use_is_judged_by_processor_time_alone() -> None:
    result = summary(
        {"latency": [turn(5.5, 0.5), turn(3.3, 0.0), turn(6.1, 0.4), turn(7, 0.6)] * 2}
    )
    assert list(result.figures) == ["processor time of latency"]
    assert result.unmeasured == {"latency": "other processes took 45% of the machine"}


def test_figures_take_turns_with_the_reference() -> None:
    order: list[str] = []

    def work(name: str, seconds: float) -> int:
        order.append(name)
        end = clock() + seconds
        while clock() < end:
            pass
        return 1

    turns = take_turns(
        lambda: work("reference", 0.03),
        {
            "often": Timed(lambda: work("often", 0.13), 2),
            "seldom": Timed(lambda: work("seldom", 0.13), 1, lambda: work("own", 0.03)),
        },
    )
    assert {name: len(taken) for name, taken in turns.items()} == {"often": 2, "seldom": 1}
    assert order[:4] == ["often", "reference", "seldom", "own"]  # not counted
    measured_order = [name for name, _ in groupby(order[4:])]
    often = ["reference", "often", "reference", "often", "reference"]
    assert measured_order == [*often, "own", "seldom", "own"]


def test_what_has_a_work_for_processor_time_leaves_the_clock_to_the_other() -> None:
    calm = [turn(3.3, 0.0, processor=9.0)] * 4
    alone = [turn(7.0, 0.0, processor=2.5)] * 4
    result = summary({"latency": calm, "processor time of latency": alone})
    assert {name: one.value for name, one in result.figures.items()} == {
        "latency": 3.3,
        "processor time of latency": 2.5,
    }


def test_a_baseline_survives_its_file(tmp_path: Path) -> None:
    path = write_baseline(tmp_path, BASELINE)
    assert path.name == "x86_64-avx512_vnni-2-openvino-2026.4.1-int8.json"
    assert read_baseline(tmp_path, SUBJECT) == BASELINE


def test_a_damaged_baseline_is_one_line(tmp_path: Path) -> None:
    path = write_baseline(tmp_path, BASELINE)
    path.write_text(path.read_text()[:200])
    with pytest.raises(BenchmarkError, match="restore it from git or record it again"):
        read_file(path)


def test_the_history_page_draws_every_figure_of_every_recording() -> None:
    runs = [measured(2.0)] * 5
    later = record(SUBJECT, runs, BASELINE, label("index planes of bytes <fast>", "89abcde"))
    page = history_page([later])
    assert "index planes of bytes &lt;fast&gt;" in page
    assert page.count("<figure>") == 3
    tree = ElementTree.fromstring(page.split("\n", 1)[1].replace("&nbsp;", " ").replace(
        '<meta charset="utf-8">', "").replace(
        '<meta name="viewport" content="width=device-width, initial-scale=1">', ""))  # fmt: skip
    assert len(list(tree.iter("circle"))) == 6


class Recorded:
    """A suite that gives recorded runs."""

    subject = SUBJECT
    of_the_clock = ("segnet_lite latency",)
    of_any_machine = ("segnet_lite mIoU",)

    def __init__(
        self,
        *runs: Measured,
        unmeasured: Mapping[str, str] | None = None,
        recorded_as: Subject = SUBJECT,
    ) -> None:
        self.runs = list(runs)
        self.unmeasured = unmeasured or {}
        self.recorded_as = recorded_as

    def measure(self, names: Collection[str] | None = None) -> Measured:
        return self.runs.pop(0)


def gate(monkeypatch: pytest.MonkeyPatch, suite: Recorded, *arguments: str) -> int:
    @contextmanager
    def recorded(_precision: str, _options: object) -> Iterator[Recorded]:
        yield suite

    monkeypatch.setattr(command, "_suite", recorded)
    return command.main(["--precision", "int8", *arguments])


def test_a_machine_class_without_a_baseline_ends_with_3_and_says_how_to_record_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert gate(monkeypatch, Recorded(), "--baselines", str(tmp_path)) == 3
    assert "scripts/check_fps.sh --update --precision int8" in caplog.text


def test_a_baseline_of_another_processor_model_is_named_and_judges_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = replace(SUBJECT, machine="x86_64-6.167-2")
    write_baseline(tmp_path, BASELINE)
    where = ("--baselines", str(tmp_path))

    def check(latency: float) -> int:
        runs = (measured(latency), measured(latency))
        return gate(monkeypatch, Recorded(*runs, recorded_as=model), *where)

    assert check(2 * LATENCIES[0]) == 3
    assert f"that of {SUBJECT.machine} is of another processor model" in caplog.text
    assert "--precision int8" in caplog.text
    runs = Recorded(*(measured(2 * latency) for latency in LATENCIES), recorded_as=model)
    assert gate(monkeypatch, runs, "--update", "--reason", "another model", *where) == 0
    assert {path.name for path in tmp_path.iterdir()} == {SUBJECT.file, model.file}
    assert check(2 * LATENCIES[0]) == 0
    assert check(3 * LATENCIES[0]) == 1


def test_update_records_five_runs_and_keeps_reasons(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for reason in ("first figures", "faster unpooling"):
        runs = Recorded(*(measured(latency) for latency in LATENCIES))
        where = ("--baselines", str(tmp_path))
        assert gate(monkeypatch, runs, "--update", "--reason", reason, *where) == 0
    [path] = tmp_path.glob("*.json")
    history = json.loads(path.read_text())["history"]
    assert [record["reason"] for record in history] == ["first figures", "faster unpooling"]


def test_update_repeats_runs_that_others_disturbed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disturbed = without(measured(9.0), "segnet_lite latency", "other processes took 40%")
    runs = Recorded(*(run for latency in LATENCIES for run in (disturbed, measured(latency))))
    update = ("--update", "--reason", "first figures", "--baselines", str(tmp_path))
    assert gate(monkeypatch, runs, *update) == 0
    baseline = read_baseline(tmp_path, SUBJECT)
    assert baseline is not None
    assert baseline.figures == BASELINE.figures


def test_update_on_a_busy_machine_records_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disturbed = without(measured(9.0), "segnet_lite latency", "other processes took 40%")
    update = ("--update", "--reason", "first figures", "--baselines", str(tmp_path))
    assert gate(monkeypatch, Recorded(*[disturbed] * 15), *update) == 1
    assert "not measured often enough: segnet_lite latency (other processes" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_update_without_road_data_ends_before_it_measures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    suite = Recorded(unmeasured={"segnet_lite mIoU": "ROADSEG_DATA is not set"})
    update = ("--update", "--reason", "first figures", "--baselines", str(tmp_path))
    assert gate(monkeypatch, suite, *update) == 1
    assert "segnet_lite mIoU (ROADSEG_DATA is not set)" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_what_a_busy_machine_left_out_is_named_and_not_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where = ("--baselines", str(tmp_path))
    runs = Recorded(*(measured(latency) for latency in LATENCIES))
    assert gate(monkeypatch, runs, "--update", "--busy", "--reason", "first", *where) == 0
    baseline = read_baseline(tmp_path, SUBJECT)
    assert baseline is not None
    assert set(BASELINE.figures) - set(baseline.figures) == {"segnet_lite latency"}
    assert set(baseline.unmeasured) == {"segnet_lite latency"}
    assert gate(monkeypatch, Recorded(measured(90.0)), *where) == 0
    assert "segnet_lite latency: not judged, not recorded: on a busy machine" in caplog.text


def test_a_suite_knows_what_only_a_quiet_machine_measures() -> None:
    timed = Timed(lambda: 1, 1)
    times = {"decode": timed, "latency": timed, "processor time of latency": timed}
    suite = Suite(SUBJECT, lambda: 1, times, {"mIoU": lambda: Figure("share", 0.5)}, {})
    assert suite.of_the_clock == ["decode", "latency"]
    wanted = ["processor time of decode", "processor time of latency", "mIoU"]
    assert suite.of_any_machine == wanted
    assert suite.recorded_as == SUBJECT
    assert set(suite.measure(["processor time of latency"]).figures) == {wanted[1]}


def test_update_without_a_reason_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as status:
        gate(monkeypatch, Recorded(), "--update")
    assert status.value.code == 2


def test_the_exit_status_tells_whether_all_runs_passed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_baseline(tmp_path, BASELINE)
    where = ("--baselines", str(tmp_path))
    unchanged = Recorded(*(measured(latency) for latency in LATENCIES))
    assert gate(monkeypatch, unchanged, "--runs", "5", *where) == 0
    slower = Recorded(measured(3.3), measured(4.4), measured(4.5))
    assert gate(monkeypatch, slower, "--runs", "2", *where) == 1


def test_engines_are_built_once_per_state_of_the_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built: list[Path] = []

    def build(options: BuildOptions, _progress: object) -> Path:
        path = options.output / f"{options.model}-openvino-{options.precision}.json"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        built.append(path)
        return path

    monkeypatch.setattr("pipeline.gate.engines.build", build)
    monkeypatch.setattr("pipeline.gate.engines.load_engine", lambda path: path)
    for _ in range(2):
        assert (
            gate_engines(["segnet_lite"], "openvino", "int8", tmp_path, lambda what, share: None)
            == built
        )
    assert len(built) == 1
