"""The lines that ``build`` prints about an engine."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cli.build import _text
from pipeline.engine.manifest import Engine


def text(engine: Engine, drop: float | None = None, onnx: Path | None = None) -> str:
    return _text(engine, 3.0, argparse.Namespace(max_miou_drop=drop, onnx=onnx))


@pytest.fixture
def int8(small_engine: Engine, tmp_path: Path) -> Engine:
    manifest = replace(small_engine.manifest, precision="int8")
    (tmp_path / f"{manifest.name}.report.html").touch()
    return Engine(manifest, tmp_path)


def test_int8_tells_what_it_costs_what_it_may_and_where_the_report_lies(int8: Engine) -> None:
    accuracy = {
        "parity": {"pixel_agreement": 0.5},
        "pixel_agreement": 0.99,
        "miou": 0.57,
        "miou_fp32": 0.58,
        "frames": 101,
        "speedup": 2.04,
    }
    engine = replace(int8, manifest=replace(int8.manifest, accuracy=accuracy))
    lines = text(engine, drop=0.02).splitlines()
    figures = (
        "mIoU 57.00, FP32 58.00: 1.00 points lost, 2.00 may be lost; 101 frames, in this build"
    )
    assert figures in lines
    assert "2.0 times as fast as FP32" in lines
    assert lines[-1] == f"report: {engine.folder / engine.manifest.name}.report.html"
    assert not [line for line in lines if "PyTorch" in line]  # of other frames: 50 %


def test_int8_of_a_table_tells_the_figures_of_the_table(int8: Engine) -> None:
    judged = {"frames": 101, "pixel_agreement": 0.985, "speedup": 2.1, "processor": "a Zen 4"}
    engine = replace(
        int8, manifest=replace(int8.manifest, calibration={"measured": {"judged": judged}})
    )
    lines = text(engine).splitlines()
    known = "98.50% of pixels as in FP32, at least 98% must be; 101 frames, when its table was made"
    assert known in lines
    assert "2.1 times as fast as FP32 on a Zen 4" in lines


def test_a_network_from_a_file_tells_what_was_understood_of_its_input(small_engine: Engine) -> None:
    line = (
        "input: RGB, (mean, std) in grey levels: R (123.7, 58.4), G (116.3, 57.1), B (103.5, 57.4)"
    )
    assert line in text(small_engine, onnx=Path("net.onnx")).splitlines()
    assert "input:" not in text(small_engine)
