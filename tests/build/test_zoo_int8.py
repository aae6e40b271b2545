"""INT8 of every network as TensorRT gets it, checked without a GPU.

Networks are narrow, as in ``test_zoo``; ranges are the largest values on one drawn frame.
Three checks: every network's FP16 engine with INT8 convolutions builds, and its network definition
contains exactly the planned Q/DQ pairs; computed layer by layer, the definition gives the same
results as PyTorch; other runtimes agree on the same file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import tensorrt_rtx as trt
import torch
from int8_networks import IN_HALVES, Case, Parsed, assert_near, assert_pairs
from zoo_networks import DISTINCT, convolution_names

from models.registry import MODELS
from models.spec import ModelSpec
from pipeline.runtimes.onnx_export import export_onnx
from pipeline.runtimes.openvino.core import (
    AS_WRITTEN,
    compile_for_cpu,
    compiled,
    ov,
    read_model,
)
from pipeline.runtimes.openvino.rewrites import rewrite
from pipeline.runtimes.tensorrt.network import planned_convolutions

pytestmark = pytest.mark.slow  # every network of the registry is exported and quantised

SPECS = pytest.mark.parametrize("spec", DISTINCT.values(), ids=lambda spec: spec.name)

#: Networks that are also computed, at least one for each kind of placement: plain with skips,
#: unpooling, concatenation, dense blocks, residuals with pyramid pooling, inverted residuals with a
#: resize before the concatenation, and two branches that exchange sums.
COMPUTED = pytest.mark.parametrize(
    "spec",
    [
        MODELS[name]
        for name in (
            "fcn8s",
            "segnet",
            "unet",
            "fc_densenet56",
            "pspnet_resnet50",
            "deeplab_v3plus_lite",
            "ddrnet23_slim",
        )
    ],
    ids=lambda spec: spec.name,
)

_QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
_DEQUANTIZE_WEIGHT = torch.ops.quantized_decomposed.dequantize_per_channel.default


@pytest.fixture(scope="module")
def case_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ModelSpec], Case]:
    cases: dict[str, Case] = {}

    def find(spec: ModelSpec) -> Case:
        if spec.name not in cases:
            cases[spec.name] = Case(spec, tmp_path_factory.mktemp(spec.name))
        return cases[spec.name]

    return find


@SPECS
def test_tensorrt_builds_every_network_with_the_planned_q_dq_pairs(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    case = case_of(spec)
    placement = case.quantised.placement
    assert placement.int8
    parsed = Parsed.of(case.half)  # building it succeeded
    found = planned_convolutions(trt, parsed.network).convolutions
    assert found == {one.name: "int8" if one.int8 else "fp16" for one in placement.convolutions}
    assert found.keys() == convolution_names(case.network)
    assert tuple(parsed.network.get_output(0).shape)  # without matching types there is no shape
    assert parsed.logger.errors == []
    assert_pairs(parsed, case, torch.float16)


@SPECS
def test_the_quantised_graph_holds_each_tensor_once(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    case = case_of(spec)
    graph = case.with_dtype(torch.float16).graph
    pairs = graph.find_nodes(op="call_function", target=_QUANTIZE)
    sites = len(case.quantised.placement.sites)
    assert len({pair.args[0] for pair in pairs}) == len(pairs) == sites
    weights = graph.find_nodes(op="call_function", target=_DEQUANTIZE_WEIGHT)
    assert len(weights) == len(case.quantised.placement.int8)


@COMPUTED
def test_the_fp32_form_in_tensorrt_computes_what_pytorch_computes(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    """Measured: 0 in these, 0.03 in pspnet_resnet101: PyTorch multiplies by 1 / scale."""
    case = case_of(spec)
    parsed = Parsed.of(case.single)
    assert planned_convolutions(trt, parsed.network).convolutions == {
        one.name: "int8" if one.int8 else "fp32" for one in case.quantised.placement.convolutions
    }
    assert_pairs(parsed, case, torch.float32)
    assert_near(case, case.in_pytorch(torch.float32), parsed.computed(case.frame), 0.1)


@COMPUTED
def test_the_fp16_form_in_tensorrt_computes_what_pytorch_computes(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    """Measured: mostly at most 0.02, 0.4 elsewhere: some FP16 kernels of PyTorch round sums."""
    case = case_of(spec)
    computed = Parsed.of(case.half).computed(case.frame)
    share = IN_HALVES.get(spec.name, 0.5)
    assert_near(case, case.in_pytorch(torch.float16), computed, share)


@COMPUTED
def test_fp16_changes_no_more_than_int8_does(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    """Measured: at most 1.04. FP16 has 8 steps per INT8 step at the end of the range."""
    case = case_of(spec)
    single, half = (Parsed.of(path).computed(case.frame) for path in (case.single, case.half))
    assert_near(case, single, half, 1.5)


@COMPUTED
def test_onnx_runtime_computes_the_same_file(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    """Measured: 0.25."""
    case = case_of(spec)
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(case.single, plain)
    found = session.run(None, {"frames": case.frame.numpy()})[0]
    assert_near(case, case.in_pytorch(torch.float32), found, 0.5)


@COMPUTED
def test_openvino_computes_its_own_form_in_int8(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case], tmp_path: Path
) -> None:
    """Unsigned bytes where they suffice. Measured: 0.33 with AMX, 0.50 on Zen 4 without."""
    case = case_of(spec)
    module = case.of_openvino.with_dtype(torch.float32)
    with torch.no_grad():
        expected = module(case.frame).float().numpy()
    export_onnx(module, tmp_path / "own.onnx")
    model = read_model(tmp_path / "own.onnx")
    rewrite(ov, model)
    found = compiled(model, "int8")(case.frame.numpy())[0]
    assert_near(case, expected, found, 0.75)


@COMPUTED
def test_openvino_computes_the_form_of_tensorrt_as_it_is_written(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    """The accuracy gate does so. Measured: 0.69 in pspnet_resnet50, else 0.49; INT8, Zen 4: 20."""
    case = case_of(spec)
    found = compile_for_cpu(case.single, "int8", settings=AS_WRITTEN)(case.frame.numpy())[0]
    assert_near(case, case.in_pytorch(torch.float32), found, 1.0)


@SPECS
def test_whatever_stays_in_floating_point_the_ranges_are_known(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    """The sensitivity analysis computes single layers in floating point with the same table."""
    exported = case_of(spec).exported
    whole = exported.placement()
    known = set(whole.tensors.values())
    for name in whole.int8:
        part = exported.placement((name,))
        assert part.int8 == tuple(other for other in whole.int8 if other != name)
        assert set(part.tensors.values()) <= known


def test_openvino_computes_what_tensorrt_does_in_int8_and_classifiers(
    case_of: Callable[[ModelSpec], Case],
) -> None:
    """The small U-Net's decoder reads signed values next to padding."""
    for name in ("segnet", "unet", "unet_lite", "deeplab_v3plus_lite"):
        case = case_of(MODELS[name])
        classifiers = case.exported.placement().classifiers
        expected = (*case.quantised.placement.int8, *classifiers)
        assert sorted(case.of_openvino.placement.int8) == sorted(expected)
