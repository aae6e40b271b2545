"""torch-tensorrt for another machine's GPU: what it accepts and refuses, and its clean-up.

Most of it needs the environment made by scripts/check_torch_tensorrt.sh.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import tensorrt_rtx as trt
import torch
from torch import Tensor, nn

from models.spec import InputSpec
from pipeline.errors import BuildError, RuntimeMissingError
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.compiler import EngineForm, Job
from pipeline.runtimes.registry import default_front_end, open_compiler
from pipeline.runtimes.tensorrt import torch_tensorrt_target
from pipeline.runtimes.tensorrt.network import Filled, collecting_logger
from pipeline.runtimes.tensorrt.torch_tensorrt import fill
from pipeline.runtimes.tensorrt.torch_tensorrt_converters import CONVERTERS, registered
from pipeline.runtimes.tensorrt.torch_tensorrt_target import (
    KNOWN_VERSIONS,
    capability,
    known_version,
    offline_target,
)

TARGETS = ("sm89",)

needs_torch_tensorrt = pytest.mark.skipif(
    find_spec("torch_tensorrt") is None,
    reason="torch-tensorrt is not installed: scripts/check_torch_tensorrt.sh runs this test in an "
    "environment that has it",
)


class Called(nn.Module):
    """Calls one function."""

    def __init__(self, operation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, x: Tensor) -> Tensor:
        return self.operation(x)


def small(operation: Callable[[Tensor], Tensor] = torch.relu) -> DeploymentGraph:
    """A convolution, and an operation in a named module."""
    torch.manual_seed(0)
    network = nn.Sequential()
    network.add_module("first", nn.Conv2d(3, 4, 3, padding=1))
    network.add_module("odd", Called(operation))
    return DeploymentGraph(network, InputSpec(width=80, height=64))


def filled(graph: DeploymentGraph | Path, precision: str = "fp32") -> Filled:
    job = Job(graph, "engine", precision, EngineForm(targets=TARGETS), Path())
    return fill(trt, job, collecting_logger(trt), lambda what, share: None)


def with_version(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    def version(distribution: str) -> str:
        if found is None:
            raise PackageNotFoundError(distribution)
        return found

    monkeypatch.setattr(torch_tensorrt_target, "version", version)


@pytest.mark.parametrize("found", [*KNOWN_VERSIONS, f"{KNOWN_VERSIONS[0]}+cu130"])
def test_a_known_version_is_taken(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_version(monkeypatch, found)
    assert known_version(trt) == found


@pytest.mark.parametrize("found", ["2.8.0", "2.14.1", "2.15.0.dev20261101+cu130"])
def test_an_unknown_version_is_refused_in_one_line(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_version(monkeypatch, found)
    with pytest.raises(RuntimeMissingError) as refused:
        filled(small())
    reason = str(refused.value)
    assert f"torch-tensorrt-rtx {found} is installed" in reason
    assert "knows 2.14.0; run scripts/environment.sh torch-tensorrt" in reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("runtime", "distribution"),
    [("tensorrt_rtx", "torch-tensorrt-rtx"), ("tensorrt", "torch-tensorrt")],
)
def test_a_missing_package_is_named_by_the_flavour_of_tensorrt(
    runtime: str, distribution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_version(monkeypatch, None)
    with pytest.raises(RuntimeMissingError, match=rf"needs {distribution} 2\.14\.0 for {runtime}"):
        known_version(ModuleType(runtime))


@pytest.mark.parametrize(
    ("target", "expected"), [("sm75", (7, 5)), ("sm89", (8, 9)), ("sm121", (12, 1))]
)
def test_a_target_answers_with_its_compute_capability(
    target: str, expected: tuple[int, int]
) -> None:
    assert capability(target) == expected


def test_int8_is_refused_where_tensorrt_for_rtx_is_too_old_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """torch-tensorrt-rtx 2.14 requires such a version; with FP16 it builds."""
    monkeypatch.setattr(trt, "__version__", "1.6.1.120")
    job = Job(small(), "engine", "int8", EngineForm(targets=TARGETS), tmp_path)
    with pytest.raises(BuildError, match=r"1\.6\.1\.120 builds no INT8 convolutions, 1\.7 does;"):
        open_compiler("tensorrt-rtx").compile(job, lambda what, share: None)


@needs_torch_tensorrt
def test_torch_tensorrt_is_the_front_end_where_it_is_installed() -> None:
    assert default_front_end() == "torch-tensorrt"


@needs_torch_tensorrt
def test_an_onnx_file_is_refused_with_the_way_that_takes_it(tmp_path: Path) -> None:
    with pytest.raises(
        BuildError, match=r"my\.onnx was given .* build ONNX files with --front-end"
    ):
        filled(tmp_path / "my.onnx")


@needs_torch_tensorrt
def test_bytes_come_in_and_bytes_go_out() -> None:
    network = filled(small(), "fp16").network
    ends = (network.get_input(0), network.get_output(0))
    assert [tensor.name for tensor in ends] == ["frames", "classes"]
    assert [tensor.dtype for tensor in ends] == [trt.DataType.UINT8] * 2
    assert network.get_flag(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


@needs_torch_tensorrt
def test_the_import_leaves_no_stand_in_for_tensorrt() -> None:
    before = sys.modules.get("tensorrt")
    filled(small())
    assert sys.modules.get("tensorrt") is before
    if before is None and find_spec("tensorrt") is None:
        with pytest.raises(RuntimeMissingError, match="--runtime tensorrt needs TensorRT"):
            open_compiler("tensorrt").require()


def refusal(graph: DeploymentGraph) -> str:
    with pytest.raises(BuildError) as refused:
        filled(graph)
    reason = str(refused.value)
    assert "\n" not in reason
    assert "--front-end onnx" in reason
    return reason


@needs_torch_tensorrt
def test_an_operator_without_a_converter_is_named_with_its_place() -> None:
    reason = refusal(small(torch.special.bessel_j0))
    assert "no converter for aten.special_bessel_j0.default of (1, 4, 64, 80)" in reason
    assert "in network.odd (" in reason


@needs_torch_tensorrt
def test_an_operator_whose_converter_fails_is_named_with_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("not today\nnor tomorrow")

    with offline_target(trt, TARGETS):
        from torch_tensorrt.dynamo.conversion import _ConverterRegistry as registry
    failing = registry.ConverterSupport(fail, supports_dynamic_shapes=True)
    monkeypatch.setitem(registry.DYNAMO_ATEN_CONVERTERS, torch.ops.aten.relu.default, [failing])
    reason = refusal(small())
    assert "did not convert aten.relu.default of (1, 4, 64, 80)" in reason
    assert "in network.odd (" in reason
    assert "(ValueError: not today)" in reason


def state() -> dict[str, object]:
    """Return everything that the context and the converters change, here and in torch-tensorrt."""
    from torch_tensorrt.dynamo.conversion import _ConverterRegistry as registry
    from torch_tensorrt.dynamo.conversion import _TRTInterpreter as interpreter
    from torch_tensorrt.dynamo.lowering.constant_fold_exclusions import _core as exclusions

    table = registry.DYNAMO_ATEN_CONVERTERS
    return {
        "capability": torch.cuda.get_device_capability,
        "device": torch.cuda.current_device,
        "notes": logging.root.manager.disable,
        "filters": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "tensorrt": sys.modules.get("tensorrt"),
        "converters": {key: list(table.get(key, ())) for key in CONVERTERS},
        "rules": dict(exclusions._CONSTANT_FOLD_EXCLUSION_RULES),
        "logger": interpreter.TRT_LOGGER,
    }


@needs_torch_tensorrt
def test_inside_the_context_the_target_answers_and_afterwards_all_is_as_before() -> None:
    with offline_target(trt, TARGETS):
        pass  # imported modules stay imported
    before = state()
    with offline_target(trt, TARGETS) as torch_tensorrt, registered(trt, torch_tensorrt):
        assert torch.cuda.get_device_capability() == (8, 9)
        assert torch.cuda.current_device() == 0
        assert sys.modules["tensorrt"].Builder is trt.Builder
        inside = state()
        changed = {name for name in before if inside[name] != before[name]}
        assert changed >= {"capability", "device", "notes", "converters", "rules"}
    assert state() == before


@needs_torch_tensorrt
def test_a_refused_network_leaves_everything_as_before() -> None:
    filled(small())
    before = state()
    refusal(small(torch.special.bessel_j0))
    assert state() == before


@needs_torch_tensorrt
def test_without_a_target_the_gpu_of_this_machine_answers() -> None:
    question = torch.cuda.get_device_capability
    with offline_target(trt, ()):
        assert torch.cuda.get_device_capability is question


@needs_torch_tensorrt
def test_a_network_that_cannot_be_exported_is_refused_in_one_line() -> None:
    reason = refusal(small(lambda x: x if x.sum() > 0 else -x))
    assert reason.startswith("torch.export did not take the network (")
