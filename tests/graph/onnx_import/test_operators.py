"""Every supported ONNX operator computes the same as in ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import BuildError
from pipeline.graph.onnx_import.importer import Importer
from pipeline.graph.onnx_import.operators import OPERATORS
from pipeline.graph.onnx_import.recorder import Recorder

SHAPE = (1, 4, 7, 9)

Array = NDArray[Any]


def floats(*shape: int, seed: int = 5) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def run_both(
    operator: str, constants: tuple[Array | None, ...] = (), opset: int = 17, **attributes: Any
) -> tuple[Array, Array]:
    """Compute ``operator(x, *constants)`` through the import and in ONNX Runtime."""
    shape = attributes.pop("shape", SHAPE)
    names = [f"c{index}" if one is not None else "" for index, one in enumerate(constants)]
    node = helper.make_node(operator, ["x", *names], ["y"], name="node", **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_empty_tensor_value_info("y")],
        [
            numpy_helper.from_array(one, name)
            for one, name in zip(constants, names, strict=True)
            if one is not None
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    x = floats(*shape, seed=9)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    recorder = Recorder()
    y = Importer(graph, opset, recorder, {"x": recorder.picture(shape)}).tensor("y")
    found = recorder.network(y)(torch.from_numpy(x)).numpy()
    return found, session.run(None, {"x": x})[0]


def agree(operator: str, *constants: Array | None, **attributes: Any) -> None:
    found, expected = run_both(operator, constants, **attributes)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


UNARY = [
    "Abs", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "GlobalAveragePool",
    "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Neg", "Relu", "Round",
    "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Tanh",
]  # fmt: skip


@pytest.mark.parametrize("operator", UNARY)
def test_functions_of_one_tensor(operator: str) -> None:
    agree(operator)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean"])
@pytest.mark.parametrize("shape", [(), (1,), (4, 1, 1), (1, 4, 7, 9)])
def test_two_tensors_and_a_number(operator: str, shape: tuple[int, ...]) -> None:
    agree(operator, np.abs(floats(*shape)) + np.float32(0.5))


def test_a_number_may_stand_first() -> None:
    for operator in ("Sub", "Div"):
        node = helper.make_node(operator, ["c", "x"], ["y"])
        constant = numpy_helper.from_array(np.array([2.0], np.float32), "c")
        graph = helper.make_graph([node], "g", [], [], [constant])
        recorder = Recorder()
        y = Importer(graph, 17, recorder, {"x": recorder.picture(SHAPE)}).tensor("y")
        x = torch.from_numpy(floats(*SHAPE))
        torch.testing.assert_close(recorder.network(y)(x), 2 - x if operator == "Sub" else 2 / x)


@pytest.mark.parametrize("opset", [9, 17])
def test_clipping_reads_attributes_and_inputs(opset: int) -> None:
    if opset == 9:
        agree("Clip", opset=9, min=-0.5, max=0.75)
    else:
        low, high = np.array(-0.5, np.float32), np.array(0.75, np.float32)
        agree("Clip", low, high)
        agree("Clip", None, high)
        agree("Clip", low)


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceMax", "ReduceL2", "ReduceProd"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions(operator: str, keepdims: int, opset: int) -> None:
    agree(operator, opset=opset, axes=[2, -1], keepdims=keepdims)


def test_newer_reductions_take_their_axes_as_an_input() -> None:
    agree("ReduceMean", ints(2, 3), opset=18)
    agree("ReduceSum", ints(1), opset=13, keepdims=0)
    agree("ReduceSum", opset=13, noop_with_empty_axes=1)


@pytest.mark.parametrize(("opset", "axis"), [(11, 1), (11, 3), (13, 1), (13, -1)])
def test_softmax_changed_its_meaning(opset: int, axis: int) -> None:
    agree("Softmax", opset=opset, axis=axis)
    agree("LogSoftmax", opset=opset, axis=axis)


CONVOLUTIONS: tuple[dict[str, Any], ...] = (
    {"pads": [1, 1, 1, 1]},
    {"pads": [0, 1, 2, 0], "strides": [2, 1]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    {"auto_pad": "VALID"},
    {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
    {"group": 2},
)


@pytest.mark.parametrize("attributes", CONVOLUTIONS)
def test_convolutions(attributes: dict[str, Any]) -> None:
    weight = floats(6, 4 // attributes.get("group", 1), 3, 3)
    agree("Conv", weight, floats(6), **attributes)
    agree("Conv", weight, **attributes)


TRANSPOSED: tuple[dict[str, Any], ...] = (
    {"strides": [2, 2]},
    {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    {"strides": [2, 2], "pads": [0, 1, 1, 0]},
    {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
    {"strides": [2, 2], "output_shape": [14, 18]},
    {"strides": [2, 2], "output_shape": [16, 20]},
    {"group": 2, "dilations": [2, 1]},
)


@pytest.mark.parametrize("attributes", TRANSPOSED)
def test_transposed_convolutions(attributes: dict[str, Any]) -> None:
    agree("ConvTranspose", floats(4, 3, 3, 3), floats(3 * attributes.get("group", 1)), **attributes)


POOLINGS: tuple[dict[str, Any], ...] = (
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]},
    {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"kernel_shape": [5, 5], "strides": [1, 1], "pads": [2, 2, 2, 2]},
)


@pytest.mark.parametrize("attributes", POOLINGS)
def test_poolings(attributes: dict[str, Any]) -> None:
    agree("MaxPool", **attributes)
    agree("AveragePool", **attributes)
    agree("AveragePool", count_include_pad=1, **attributes)


def test_norms() -> None:
    agree("BatchNormalization", floats(4), floats(4), floats(4), np.abs(floats(4)))
    agree("InstanceNormalization", floats(4), floats(4), epsilon=0.01)
    agree("LayerNormalization", floats(7, 9), floats(7, 9), axis=2)
    agree("GroupNormalization", floats(4), floats(4), opset=21, num_groups=2)
    agree("LRN", size=3, alpha=0.2, beta=0.6, bias=1.5)


def test_matrix_products() -> None:
    agree("MatMul", floats(9, 5))
    agree("Gemm", floats(5, 9), floats(5), shape=(1, 9), transB=1, alpha=0.5, beta=2.0)
    agree("PRelu", floats(4, 1, 1))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_padding(mode: str) -> None:
    agree("Pad", ints(0, 0, 1, 2, 0, 0, 3, 0), mode=mode)
    agree("Pad", opset=9, mode=mode, pads=[0, 0, 1, 2, 0, 0, 3, 0])


def test_padding_may_crop() -> None:
    agree("Pad", ints(0, 0, -1, 2, 0, 0, 0, -3), np.array(0.5, np.float32))


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ((1, 2), (5, 8), (2, 3), (1, 3)),
        ((0,), (2**62,), (2,), (2,)),
        ((-1,), (-(2**62),), (3,), (-1,)),
        ((5,), (1,), (-1,), (-2,)),
        ((-4, 1), (-1, 3), (3, 1), (1, 1)),
    ],
)
def test_slices(starts: Any, ends: Any, axes: Any, steps: Any) -> None:
    agree("Slice", ints(*starts), ints(*ends), ints(*axes), ints(*steps))


def test_shapes_and_orders() -> None:
    agree("Reshape", ints(0, 2, -1))
    agree("Reshape", ints(1, 4, 63))
    agree("Flatten", axis=2)
    agree("Transpose", perm=[0, 2, 3, 1])
    agree("Squeeze", ints(2), shape=(1, 4, 1, 9))
    agree("Squeeze", opset=11, axes=[2], shape=(1, 4, 1, 9))
    agree("Unsqueeze", ints(1, -1))
    agree("Unsqueeze", opset=11, axes=[0, 3])
    agree("Gather", ints(3, -1, 0), axis=1)
    agree("Gather", np.array(2, np.int64), axis=2)
    agree("Gather", ints(0, 1, 2, 3).reshape(2, 2), axis=1)
    agree("Expand", ints(1, 4, 7, 9), shape=(1, 4, 1, 1))
    agree("Expand", ints(3, 1, 1, 1, 1))
    agree("Tile", ints(1, 2, 1, 3))
    agree("Concat", floats(1, 2, 7, 9), axis=1)
    agree("CumSum", np.array(3, np.int64))
    agree("Trilu", upper=0)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_and_space(mode: str) -> None:
    agree("DepthToSpace", blocksize=2, mode=mode, shape=(1, 12, 3, 5))
    agree("SpaceToDepth", blocksize=2, shape=(1, 3, 6, 4))


_COORDINATES = (
    "half_pixel",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "half_pixel_symmetric",
)


@pytest.mark.parametrize("coordinates", _COORDINATES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("size", [(14, 18), (5, 20), (3, 4), (1, 1), (21, 27)])
def test_resizing_to_a_size(coordinates: str, mode: str, size: tuple[int, int]) -> None:
    agree(
        "Resize", None, None, ints(1, 4, *size), opset=19,
        mode=mode, coordinate_transformation_mode=coordinates,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("nearest", "coordinates"),
    [
        (nearest, coordinates)
        for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        for coordinates in ("asymmetric", "half_pixel")
    ],
)
@pytest.mark.parametrize("scale", [2.0, 1.5, 0.5])
def test_resizing_by_a_scale(nearest: str, coordinates: str, scale: float) -> None:
    scales = np.array([1, 1, scale, scale], np.float32)
    how = {"nearest_mode": nearest, "coordinate_transformation_mode": coordinates}
    agree("Resize", np.zeros(0, np.float32), scales, opset=11, mode="nearest", **how)
    del how["nearest_mode"]
    agree("Resize", np.zeros(0, np.float32), scales, opset=11, mode="linear", **how)


def test_older_forms_of_resizing() -> None:
    scales = np.array([1, 1, 2, 3], np.float32)
    for mode in ("nearest", "linear"):
        agree("Upsample", scales, opset=9, mode=mode)
        agree("Resize", scales, opset=10, mode=mode)


def test_cubic_weights_beyond_the_edge_may_be_left_out() -> None:
    size = ints(1, 4, 14, 20)
    agree("Resize", None, None, size, mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5)


def test_one_side_of_an_if_is_taken() -> None:
    """Exporters write a network's computations on sizes like this."""

    def branch(operator: str) -> Any:
        node = helper.make_node(operator, ["x"], ["inner"])
        return helper.make_graph(
            [node], operator, [], [helper.make_empty_tensor_value_info("inner")]
        )

    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "two"], ["height"]),
        helper.make_node("Greater", ["height", "limit"], ["tall"]),
        helper.make_node(
            "If", ["tall"], ["y"], then_branch=branch("Neg"), else_branch=branch("Abs")
        ),
    ]
    for limit, expected in ((6, lambda x: -x), (7, abs)):
        constants = [numpy_helper.from_array(np.array(n, np.int64), name)
                     for n, name in ((2, "two"), (limit, "limit"))]  # fmt: skip
        graph = helper.make_graph(nodes, "g", [], [], constants)
        recorder = Recorder()
        y = Importer(graph, 17, recorder, {"x": recorder.picture(SHAPE)}).tensor("y")
        x = torch.from_numpy(floats(*SHAPE))
        torch.testing.assert_close(recorder.network(y)(x), expected(x))


def test_permutations_that_cancel_leave_nothing() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Transpose", ["last"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Relu", ["first"], ["y"]),
    ]
    recorder = Recorder()
    graph = helper.make_graph(nodes, "g", [], [])
    y = Importer(graph, 17, recorder, {"x": recorder.picture(SHAPE)}).tensor("y")
    targets = [node.op for node in recorder.network(y).graph.nodes]
    assert targets == ["placeholder", "call_function", "output"]


@pytest.mark.parametrize(
    ("operator", "constants", "attributes", "message"),
    [
        ("NonMaxSuppression", (), {}, "not among the"),
        ("QuantizeLinear", (), {}, "quantised already"),
        ("Resize", (None, None, ints(1, 8, 7, 9)), {}, "a change of H and W"),
        ("Reshape", (ints(1, 5),), {}, r"reshapes \(1, 4, 7, 9\) to \(1, 5\)"),
        ("Concat", (floats(1, 4, 3, 3),), {"axis": 1}, "a multiple of 32"),
        ("ArgMax", (), {"select_last_index": 1}, "the last of equal values"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(
    operator: str, constants: Any, attributes: dict[str, Any], message: str
) -> None:
    names = ["" if one is None else f"c{i}" for i, one in enumerate(constants)]
    node = helper.make_node(operator, ["x", *names], ["y"], name="/head/odd", **attributes)
    given = [numpy_helper.from_array(c, n) for c, n in zip(constants, names, strict=True) if n]
    graph = helper.make_graph([node], "g", [], [], given)
    recorder = Recorder()
    with pytest.raises(BuildError, match=message) as error:
        Importer(graph, 17, recorder, {"x": recorder.picture(SHAPE)}).tensor("y")
    assert "/head/odd" in str(error.value)
    assert "\n" not in str(error.value)


def test_positions_that_depend_on_the_picture_are_refused() -> None:
    nodes = [
        helper.make_node("TopK", ["x", "k"], ["", "found"]),
        helper.make_node("Reshape", ["x", "found"], ["y"], name="odd"),
    ]
    graph = helper.make_graph(nodes, "g", [], [], [numpy_helper.from_array(ints(1), "k")])
    recorder = Recorder()
    with pytest.raises(BuildError, match="depends on the picture's content"):
        Importer(graph, 17, recorder, {"x": recorder.picture(SHAPE)}).tensor("y")


def test_the_page_lists_every_operator(request: pytest.FixtureRequest) -> None:
    page = (request.config.rootpath / "docs" / "foreign-networks.md").read_text(encoding="utf-8")
    listed = page.split("<!-- operators -->")[1].replace(",", " ").split()
    assert listed == [f"`{name}`" for name in sorted([*OPERATORS, "If"])]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize("places", [(), (5,), (2, 3, 2)])
def test_pieces_are_gathered_at_many_places(
    depth: int, batch: int, places: tuple[int, ...]
) -> None:
    if batch + depth > 4:
        return
    rng = np.random.default_rng(depth)
    sizes = np.array(SHAPE[batch : batch + depth])
    indices = rng.integers(-sizes, sizes, (*[1] * batch, *places, depth))
    agree("GatherND", indices.astype(np.int64), batch_dims=batch)
