"""TensorRT for RTX's treatment of INT8, from its builder's own list; no GPU is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from quiet_progress import quiet
from tiny_int8 import DENSE, INT8, exported, job, quantised

from pipeline.engine.compatibility import GpuInfo, Machine, mismatches
from pipeline.engine.manifest import LayerPrecisions
from pipeline.errors import BuildError
from pipeline.runtimes.compile import compiled
from pipeline.runtimes.registry import open_compiler
from pipeline.runtimes.tensorrt.layer_list import layers_in, read_back

RTX = open_compiler("tensorrt-rtx")

_TENSOR = "{ Name: t, Dimensions: [1,8,4,4], Strides: [1,1,1,1], Datatype: %s, Format: x }"
_LINE = (
    "Name: %s, LayerType: %s, Inputs: [ %s], Constants: [ %s], Outputs: [ %s], TacticName: t, "
    "StreamId: 0, Metadata: %s"
)


def line(name: str, kind: str, read: str, weights: str = "", origin: str = "") -> str:
    constant = _TENSOR % weights if weights else ""
    metadata = f"[ONNX Layer: {origin}]" if origin else ""
    return _LINE % (name, kind, _TENSOR % read, constant, _TENSOR % "Half", metadata)


def test_without_a_target_int8_is_computed_in_int8(tmp_path: Path) -> None:
    graph = quantised(exported())
    built = compiled(job(graph, tmp_path), RTX, quiet)
    assert graph.placement.int8 == INT8
    assert built.layers.source == "builder"
    assert {n for n, kind in built.layers.convolutions.items() if kind == "int8"} == set(INT8)
    assert built.layers.convolutions["stem"] == "fp16"
    assert built.layers.kernels is not None


def test_a_convolution_that_fell_back_fails_the_build(tmp_path: Path) -> None:
    """An engine for Turing, which the command line refuses, has no INT8."""
    turing = job(quantised(), tmp_path, ("sm75",))
    with pytest.raises(BuildError, match=r"3 of 3 convolutions .* first \(fp16\)"):
        compiled(turing, RTX, quiet)


def test_depthwise_convolutions_stay_in_fp16_and_save_kernels_and_bytes(tmp_path: Path) -> None:
    graph = exported()
    kept = RTX.kept_out_of_int8(graph.placement())
    assert set(kept) == {"depthwise", *graph.placement().classifiers}
    sizes = {}
    kernels = {}
    for name, choice in (("all", {}), ("kept", kept)):
        (tmp_path / name).mkdir()
        placed = quantised(graph, choice)
        built = compiled(job(placed, tmp_path / name), RTX, quiet)
        sizes[name], kernels[name] = built.files[0].stat().st_size, built.layers.kernels
        if choice:
            assert placed.placement.int8 == DENSE
            assert built.layers.convolutions["depthwise"] == "fp16"
    # Three zeros for each value of its input: 96 channels of 96x64.
    assert sizes["all"] - sizes["kept"] > 3 * 32 * 96 * 64 * 0.9
    assert kernels["kept"] <= kernels["all"]


@pytest.mark.parametrize(
    ("targets", "precision", "message"),
    [
        (("sm75", "sm86"), "fp16", "sm75 has to be alone.*one engine for sm75 and one for sm86"),
        (("sm75",), "int8", "no convolution in INT8 where Turing"),
        (("sm86", "sm80+"), "fp16", r"sm80\+ has to be alone"),
        (("sm90",), "fp16", "unknown GPU architecture 'sm90'.*without --target"),
    ],
)
def test_targets_that_spoil_an_engine_are_refused(
    targets: tuple[str, ...], precision: str, message: str
) -> None:
    with pytest.raises(BuildError, match=message):
        RTX.check_targets(targets, precision)


def test_targets_that_fit_together_are_taken() -> None:
    assert RTX.check_targets((), "int8") == ("sm80+",)
    assert RTX.check_targets(("sm86", "sm120"), "int8") == ("sm86", "sm120")
    assert RTX.check_targets(("sm75",), "fp16") == ("sm75",)


@pytest.mark.parametrize(
    ("architecture", "runs"), [("sm75", False), ("sm80", True), ("sm89", True), ("sm130", True)]
)
def test_an_engine_without_named_targets_runs_from_ampere_on(
    manifest_of_rtx: object, architecture: str, runs: bool
) -> None:
    here = Machine("tensorrt-rtx", "1.7.1", GpuInfo("a GPU", architecture, (13, 0)))
    found = list(mismatches(manifest_of_rtx, here))  # type: ignore[arg-type]
    assert (found == []) is runs


@pytest.fixture
def manifest_of_rtx() -> object:
    from int8_builds import manifest

    return manifest(
        runtime="tensorrt-rtx", runtime_version="1.7.1", targets=("sm80+",), built_on={}
    )


def test_the_list_is_read_line_by_line() -> None:
    text = "\n".join(
        [
            "Layers:",
            line("a.conv_myl0_1", "correlation", "Int8", "Int8", "a.conv"),
            line("__myl_Cast_myl0_2", "kgen", "Float", origin="a.conv"),
            line("b.conv_myl0_3", "correlation", "Half", "Half"),
            line("__mye1_myl0_4", "runtime_fusion", "Half", origin="c.conv"),
            "Name: __mye7_myl0_5, LayerType: signal, Inputs: [], Constants: [], Outputs: [], "
            "TacticName: , StreamId: 0, EventId: 7, Metadata: ",
            line("d.conv_myl0_6", "correlation", "Half"),
            "I/O Tensors:",
            " Name: frames, IOMode: Input, DataType: UInt8, Dimensions: [1,-1,-1,3]",
        ]
    )
    planned = LayerPrecisions(
        "network",
        {"a.conv": "int8", "b.conv": "fp16", "c.conv": "fp16", "d.conv": "int8", "gone": "int8"},
    )
    found = read_back(text, planned)
    assert found.convolutions == {
        "a.conv": "int8",
        "b.conv": "fp16",
        "c.conv": "fp16",
        "d.conv": "fp16",
        "gone": "unknown",
    }
    assert found.kernels == 5
    assert len(list(layers_in(text))) == 6
    assert read_back("", planned) == planned
    assert replace(planned, source="builder").known
    assert not planned.known
