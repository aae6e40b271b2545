"""A build without ``--precision`` uses INT8 where its accuracy is known and it is fast."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from quiet_progress import quietly

from models.registry import MODELS
from models.weights import registered_table, registered_weights
from pipeline.build import default_precision
from pipeline.build.current import build_engine
from pipeline.build.default_precision import choose_precision
from pipeline.build.hooks import Hooks
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine
from pipeline.errors import AccuracyError, RuntimeMissingError
from pipeline.progress import Progress
from pipeline.runtimes.openvino import instructions
from pipeline.runtimes.registry import why_int8_does_not_pay

REGISTERED = [name for name in MODELS if registered_weights(name) is not None]


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which INT8 is faster."""
    monkeypatch.setattr(default_precision, "why_int8_does_not_pay", lambda runtime: None)


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("name", REGISTERED)
def test_every_registered_network_is_built_in_int8_and_its_figures_are_told(name: str) -> None:
    choice = choose_precision(BuildOptions(name))
    assert choice.precision == "int8"
    assert choice.why.startswith("INT8: mIoU ")
    assert ", FP32 " in choice.why
    assert choice.why.endswith("build with --precision fp32 for FP32")
    assert registered_table(name).is_file()


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (BuildOptions("segnet_lite", size=(120, 90)), "another size"),
        (BuildOptions("segnet_lite", weights="mine.safetensors"), "other weights"),
        (BuildOptions("segnet_lite", weights="none"), "other weights"),
        (BuildOptions("deeplab_v3plus_lite", output_stride=8), "another output stride"),
        (BuildOptions("unet"), "no weights are registered"),
    ],
)
def test_where_nobody_knows_what_int8_loses_it_is_not_taken(
    options: BuildOptions, reason: str
) -> None:
    choice = choose_precision(options)
    assert choice.precision is None
    assert reason in choice.why


@pytest.mark.usefixtures("fast")
def test_road_scenes_to_calibrate_with_mean_int8() -> None:
    options = BuildOptions("segnet_lite", size=(120, 90), calibration=Path("scenes"))
    assert choose_precision(options).precision == "int8"


@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
def test_on_gpus_int8_waits_until_it_was_measured(runtime: str) -> None:
    choice = choose_precision(BuildOptions("segnet_lite", runtime=runtime))
    assert choice.precision is None
    assert f"not measured on {runtime}" in choice.why


@pytest.mark.parametrize(
    ("flags", "pays"),
    [
        ("avx2 avx512f", False),
        ("avx2 avx_vnni", True),
        ("avx512f avx512_vnni", True),
        ("avx512f amx_int8 amx_bf16", True),
        ("asimd asimddp", False),
    ],
)
def test_int8_pays_on_processors_with_instructions_for_it(
    flags: str, pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        instructions.Path, "read_text", lambda *_, **__: f"flags\t\t: fpu {flags} sse2\n"
    )
    assert (why_int8_does_not_pay("openvino") is None) == pays


@pytest.mark.usefixtures("fast")
def test_int8_that_loses_too_much_on_labelled_pictures_gives_way_to_floating_point(
    monkeypatch: pytest.MonkeyPatch, small_engine: Engine
) -> None:
    asked: list[str | None] = []

    def build(options: BuildOptions, progress: Progress) -> Engine:
        asked.append(options.precision)
        if options.precision == "int8":
            raise AccuracyError("INT8 reached 2.00 points at best, expected 0.50", [])
        return small_engine

    monkeypatch.setattr("pipeline.build.build.build", build)
    said: list[str] = []
    options = BuildOptions("segnet_lite", data=Path("val"))
    assert build_engine(options, Hooks(said.append, quietly)) is small_engine
    assert asked == ["int8", None]
    assert "floating point" in said[-1]
    with pytest.raises(AccuracyError):  # with --precision int8 there is no other precision
        build_engine(replace(options, precision="int8"), Hooks(said.append, quietly))


def test_without_torch_a_build_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pipeline.build.build", None)
    with pytest.raises(RuntimeMissingError, match=r"pip install .*\[build\]'"):
        build_engine(BuildOptions("segnet_lite"), Hooks(lambda line: None, quietly))
