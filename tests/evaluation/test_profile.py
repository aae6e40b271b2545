"""The results of ``bench``: stages, limits, layers, power, machine classes."""

from __future__ import annotations

import json
import stat
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.engine.manifest import Engine
from pipeline.evaluation.layer_times import flame_chart, table
from pipeline.evaluation.profile.limit import limit_of
from pipeline.evaluation.profile.memory import peak_resident
from pipeline.evaluation.profile.power import PowerMeter, watts_of
from pipeline.evaluation.profile.stages import WAITING, stage_table
from pipeline.runtimes.probe import ConvolutionWork, LayerTime, Shape, probe_for
from pipeline.runtimes.registry import open_session
from pipeline.stream.timing import Work

NAMES = {"capture": "decode", "infer": "infer"}

#: Lines of tegrastats: Orin Nano (JetPack 6), AGX Orin (JetPack 5), Xavier NX and Nano (JetPack 4).
TEGRASTATS = {
    "RAM 3011/7620MB (lfb 6x4MB) CPU [22%@1510,19%@1510,off] GR3D_FREQ 99% cpu@52.1C "
    "VDD_IN 9873mW/8120mW VDD_CPU_GPU_CV 4215mW/3011mW VDD_SOC 1890mW/1700mW": 9.873,
    "RAM 5022/30536MB CPU [1%@729] GR3D_FREQ 0% VDD_GPU_SOC 3205mW/3205mW VDD_CPU_CV 801mW/801mW "
    "VIN_SYS_5V0 3538mW/3538mW": 3.538,
    "RAM 2448/7772MB VDD_IN 4067/4067 VDD_CPU_GPU_CV 650/650 VDD_SOC 1015/1015": 4.067,
    "RAM 1340/3964MB CPU [10%@102] POM_5V_IN 2157/2157 POM_5V_GPU 40/40 POM_5V_CPU 322/322": 2.157,
}


def test_stages_and_waiting_add_up_to_the_way_of_a_frame() -> None:
    work = []
    for frame in range(4):
        start = frame * 0.05
        work.append(Work("capture", frame, start, start + 0.010))
        work.append(Work("infer", frame, start + 0.030, start + 0.075))
    result = stage_table(work, NAMES, skip=1)
    assert result is not None
    assert result.stages == pytest.approx({"decode": 10.0, "infer": 45.0, WAITING: 20.0})
    assert sum(result.stages.values()) == pytest.approx(result.total)
    assert result.interval == pytest.approx(50.0)
    assert result.frames == 3
    assert result.busy["infer"] == pytest.approx(3 * 0.045 / 0.175)
    assert "waiting" in result.lines()[2]


def test_frames_that_are_taken_together_keep_a_stage_busy_once() -> None:
    work = [Work("capture", i, 0.0, 0.01) for i in range(4)]
    work += [Work("infer", i, 0.01 + i // 2 * 0.05, 0.06 + i // 2 * 0.05) for i in range(4)]
    result = stage_table(work, NAMES)
    assert result is not None
    assert result.busy["infer"] == pytest.approx(0.1 / 0.11)


def test_frames_that_did_not_go_all_the_way_do_not_count() -> None:
    work = [Work("capture", i, i, i + 0.1) for i in range(5)] + [Work("infer", 0, 0.1, 0.2)]
    assert stage_table(work, NAMES) is None


def test_the_limit_takes_the_slower_of_arithmetic_and_memory_for_each_convolution() -> None:
    work = [
        ConvolutionWork("int8", macs=4_000_000_000, elements=1_000_000),
        ConvolutionWork("fp32", macs=1_000_000, elements=5_000_000),
    ]
    limit = limit_of(work, {"int8": 400.0, "fp32": 100.0}, bandwidth=10.0)
    assert limit.ms == pytest.approx(10.0 + 2.0)
    assert limit.megabytes == pytest.approx(21.0)
    assert limit.share(48.0) == pytest.approx(0.25)
    assert "25% of this machine's limit" in limit.words(48.0)


@pytest.mark.parametrize(("line", "watts"), TEGRASTATS.items())
def test_power_is_read_from_the_rail_of_the_whole_module(line: str, watts: float) -> None:
    assert watts_of(line) == watts


def test_a_line_without_rails_has_no_power() -> None:
    assert watts_of("RAM 1340/3964MB CPU [10%@102]") is None


@pytest.mark.slow
def test_power_is_sampled_while_something_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "tegrastats"
    program.write_text("#!/bin/sh\nfor w in 4000 6000; do echo VDD_IN ${w}mW/1mW; done\nsleep 9\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with PowerMeter() as meter:
        while meter.watts != 5.0:
            pass
    assert meter.watts == 5.0


def test_without_tegrastats_there_is_no_power() -> None:
    with PowerMeter(command="no-such-program") as meter:
        pass
    assert meter.watts is None


LAYERS = (
    LayerTime("encoder.0.0.conv", "Convolution", "int8", 2.0),
    LayerTime("encoder.0.1.conv", "Convolution", "int8", 3.0),
    LayerTime("node_where_2", "Subgraph", "fp32", 1.0),
)


def test_the_table_of_layers_sums_kinds_and_names_the_slowest_first() -> None:
    lines = table(LAYERS, most=2)
    assert lines[1].split() == ["Convolution", "int8", "2", "5.00", "83.3%"]
    assert lines[5].startswith("encoder.0.1.conv")
    assert lines[-1] == "3 layers, 6.00 ms"


def test_the_flame_chart_stands_parts_on_their_modules() -> None:
    chart = ElementTree.fromstring(flame_chart(LAYERS, "segnet & co"))
    space = "{http://www.w3.org/2000/svg}"
    boxes = {
        group.findtext(f"{space}title", "").split(":")[0]: group.find(f"{space}rect")
        for group in chart.iter(f"{space}g")
    }
    assert {"encoder", "0", "Subgraph", "node_where_2", "conv"} <= boxes.keys()
    encoder, whole = boxes["encoder"], boxes["segnet & co"]
    assert encoder is not None
    assert whole is not None
    assert float(encoder.get("width", 0)) == pytest.approx(
        float(whole.get("width", 0)) * 5 / 6, 0.01
    )
    assert float(encoder.get("y", 0)) < float(whole.get("y", 0))


def test_the_flame_chart_has_an_axis_of_time_and_the_names_of_layers() -> None:
    chart = ElementTree.fromstring(flame_chart(LAYERS, "segnet"))
    space = "{http://www.w3.org/2000/svg}"
    texts = {text.text: text for text in chart.iter(f"{space}text")}
    assert [f"{number} ms" if not number else str(number) for number in range(7)] == [
        text for text in texts if text and text[0].isdigit() and text != "0"
    ]
    left, right = (float(texts[name].get("x", 0)) for name in ("0 ms", "5"))
    assert right - left == pytest.approx((1200 - 16) * 5 / 6, abs=0.2)
    assert {"encoder.0.0.conv", "encoder.0.1.conv"} <= texts.keys()


def test_the_probe_counts_the_work_of_an_engine(small_engine: Engine) -> None:
    probe = probe_for("openvino")
    assert probe is not None
    work = probe.work(small_engine)
    assert len(work) == len(small_engine.manifest.layers.convolutions) == 26
    # 6.90 GMACs at 480x360; 90 rows make 45, 22, 11, 5 and 2 below, a little less than a 16th.
    assert sum(one.macs for one in work) == pytest.approx(6.90e9 / 16, rel=0.05)
    assert {one.precision for one in work} == {"fp32"}


def test_the_probe_times_every_layer(small_engine: Engine) -> None:
    probe = probe_for("openvino")
    assert probe is not None
    layers = probe.layers(small_engine, np.zeros((1, 90, 120, 3), np.uint8), runs=2)
    names = {layer.name for layer in layers}
    assert set(small_engine.manifest.layers.convolutions) <= names
    assert all(layer.ms >= 0 for layer in layers)


def test_a_load_computes_in_the_precision_that_was_asked_for() -> None:
    probe = probe_for("openvino")
    assert probe is not None
    shape = Shape(channels=16, height=8, width=8)
    for precision in ("fp32", "int8"):
        load = probe.load([shape, shape], precision)
        load.run()
        assert load.macs == 2 * 4 * shape.macs == 2 * 4 * 16 * 16 * 9 * 64


def test_runtimes_without_a_probe_have_none() -> None:
    assert probe_for("null") is None


def test_throughput_gives_the_class_maps_of_latency(small_engine: Engine) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 90, 120, 3), dtype=np.uint8)
    with open_session(small_engine) as one, open_session(small_engine, "throughput") as many:
        assert one.input_spec.shape[0] == 1
        assert (many.run(frames) == one.run(frames)).all()
        assert (many.run(frames[:1]) == one.run(frames[:1])).all()


def test_bench_reports_stages_that_add_up_and_draws_layers(
    small_engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chart = tmp_path / "layers.svg"
    arguments = [
        "bench",
        str(small_engine.path),
        "--runs",
        "6",
        "--clip",
        "20",
        "--flame",
        str(chart),
    ]
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    stages = report["end_to_end"]["mean_ms"]
    assert list(stages) == ["decode", "infer", "draw", "encode", "waiting"]
    assert sum(stages.values()) == pytest.approx(report["end_to_end"]["total_ms"])
    assert report["limit"]["share"] > 0
    assert report["memory_mb"] == pytest.approx(peak_resident() / 1e6, rel=0.5)
    assert report["jitter_ms"] >= 0
    assert report["watts"] is None
    assert chart.read_text().startswith("<svg")
    assert main([*arguments, "--clip", "0", "--layers"]) == 0
    text = capsys.readouterr().out
    assert "of this machine's limit" in text
    assert "slowest layers" in text
