"""The graph rewritten for OpenVINO computes the same bits as before."""

from __future__ import annotations

from collections import Counter

import numpy as np
import openvino as ov
import pytest
import torch
import torch.nn.functional as F
from openvino import opset13 as op

from pipeline.runtimes.openvino.rewrites import rewrite

KINDS = ("normal", "few_levels", "relu", "zeros")


def picture(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return {"normal": x, "few_levels": x.round(), "relu": x.clip(0), "zeros": 0 * x}[kind]


def constant(*values: int) -> ov.Node:
    return op.constant(np.array(values, np.int64))


def number(value: float) -> ov.Node:
    return op.constant(np.float32(value))


def pool_and_unpool(height: int, width: int, channels: int = 5) -> ov.Model:
    """``max_pool_phases`` and ``unpool_phases`` as PyTorch exports them; the batch is free."""
    x = op.parameter([-1, channels, height, width], np.float32)
    decoded = op.parameter([-1, channels, height // 2, width // 2], np.float32)
    pooled = op.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    bottom, right = height // 2 * 2, width // 2 * 2

    def first(row: int, column: int) -> ov.Node:
        rows = op.slice(x, constant(row), constant(bottom), constant(2), constant(2))
        phase = op.slice(rows, constant(column), constant(right), constant(2), constant(3))
        return op.greater_equal(phase, pooled)

    later = op.select(first(1, 0), number(2), number(3))
    phase = op.select(first(0, 0), number(0), op.select(first(0, 1), number(1), later))

    def windows(small: ov.Node) -> ov.Node:
        last = op.transpose(small, constant(0, 2, 3, 1))
        return op.reshape(last, constant(-1, height // 2, 1, width // 2, 1, channels), False)

    pattern = op.constant(np.arange(4, dtype=np.float32).reshape(1, 1, 2, 1, 2, 1))
    spread = op.select(op.equal(windows(phase), pattern), windows(decoded), number(0))
    whole = op.reshape(spread, constant(-1, bottom, right, channels), False)
    return ov.Model([op.transpose(whole, constant(0, 3, 1, 2))], [x, decoded], "unpooling")


def kinds(model: ov.Model) -> Counter[str]:
    return Counter(operation.get_type_name() for operation in model.get_ordered_ops())


def results(model: ov.Model, *inputs: np.ndarray) -> np.ndarray:
    compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(list(inputs))[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(12, 16), (11, 15), (45, 60)])
def test_poolings_and_their_positions_give_the_same_bits(kind: str, size: tuple[int, int]) -> None:
    model = pool_and_unpool(*size)
    x = picture(kind, (2, 5, *size))
    decoded = picture("normal", (2, 5, size[0] // 2, size[1] // 2))
    expected = results(model, x, decoded)
    rewrite(ov, model)
    assert kinds(model)["Slice"] == 4
    assert kinds(model)["MaxPool"] == 0
    assert (results(model, x, decoded) == expected).all()


def pair(value: ov.Node, scale: float) -> ov.Node:
    """Quantise to unsigned bytes and dequantise, as OpenVINO reads this from ONNX."""
    high, low = number(255 * scale), number(0)
    rounded = op.fake_quantize(value, low, high, number(0), number(255), 256)
    back = op.convert(op.convert(rounded, "u8"), "f32")
    return op.multiply(op.subtract(back, number(0)), number(scale))


@pytest.mark.parametrize(("second", "left"), [(0.02, 1), (0.03, 2)])
def test_what_is_quantised_before_a_pooling_is_not_quantised_again(
    second: float, left: int
) -> None:
    """Unless on another scale, which rounds again."""
    x = op.parameter([1, 4, 12, 16], np.float32)
    pooled = op.max_pool(pair(x, 0.02), [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    model = ov.Model([op.relu(pair(pooled, second))], [x], "pooled")
    picture_of_it = picture("relu", (1, 4, 12, 16))
    expected = results(model, picture_of_it)
    rewrite(ov, model)
    assert kinds(model)["FakeQuantize"] == left
    assert (results(model, picture_of_it) == expected).all()


def argmax(sort: str = "value") -> ov.Model:
    scores = op.parameter([-1, 11, 6, 7], np.float32)
    top = op.topk(scores, op.constant(np.int64(1)), 1, "max", sort, "i64", stable=True)
    return ov.Model([op.squeeze(top.output(1), constant(1))], [scores], "argmax")


@pytest.mark.parametrize("kind", KINDS)
def test_argmax_gives_the_first_of_equal_classes(kind: str) -> None:
    scores = picture(kind, (3, 11, 6, 7))
    model = argmax()
    rewrite(ov, model)
    assert kinds(model)["Reshape"] == 2
    assert (results(model, scores) == scores.argmax(1)).all()


def test_a_network_without_any_of_it_is_not_touched() -> None:
    x = op.parameter([1, 3, 8, 8], np.float32)
    model = ov.Model(
        [op.relu(op.slice(x, constant(0), constant(8), constant(2), constant(2)))], [x]
    )
    before = kinds(model)
    rewrite(ov, model)
    assert kinds(model) == before


def enlarged(factor: int, batch: int = -1, **changes: object) -> ov.Model:
    """The classes of bilinearly enlarged scores, as PyTorch exports them."""
    scores = op.parameter([batch, 5, 6, 7], np.float32)
    how: dict[str, object] = {
        "mode": "linear_onnx",
        "coordinate_transformation_mode": "half_pixel",
        "pads_begin": [0] * 4,
        "pads_end": [0] * 4,
    }
    size = op.constant(np.array([6 * factor, 7 * factor]))
    resized = op.interpolate(
        scores, size, shape_calculation_mode="sizes", axes=constant(2, 3), **(how | changes)
    )
    top = op.topk(resized, op.constant(np.int64(1)), 1, "max", "value", "i64", stable=True)
    return ov.Model([op.squeeze(top.output(1), constant(1))], [scores], "enlarged")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_classes_of_enlarged_scores_are_pytorchs(kind: str, factor: int) -> None:
    scores = picture(kind, (2, 5, 6, 7))
    larger = F.interpolate(torch.from_numpy(scores), scale_factor=factor, mode="bilinear")
    model = enlarged(factor)
    rewrite(ov, model)
    assert kinds(model)["Interpolate"] == 0
    # Where the two best are equal to the last bits, either may count as the larger one.
    best = larger.topk(2, 1).values
    clear = (best[:, 0] - best[:, 1] > 1e-5) | (best[:, 0] == best[:, 1]) & (kind == "zeros")
    assert clear.float().mean() > 0.3
    agrees = results(model, scores) == larger.argmax(1).numpy()
    assert agrees[clear.numpy()].all()


@pytest.mark.parametrize(
    "changes",
    [
        {"coordinate_transformation_mode": "align_corners"},
        {"mode": "cubic"},
        {"mode": "nearest"},
        {"antialias": True, "mode": "linear"},
    ],
)
def test_another_enlargement_is_left_to_openvino(changes: dict[str, object]) -> None:
    model = enlarged(4, **changes)
    rewrite(ov, model)
    assert kinds(model)["Interpolate"] == 1


def test_an_odd_factor_is_left_to_openvino() -> None:
    model = enlarged(3)
    rewrite(ov, model)
    assert kinds(model)["Interpolate"] == 1
