"""What is rewritten for OpenVINO computes the same bits as before."""

from __future__ import annotations

from collections import Counter

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op

from pipeline.compilers.openvino_rewrites import rewrite

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

    def enlarged(small: ov.Node) -> ov.Node:
        scales = op.constant(np.array([2, 2], np.float32))
        return op.interpolate(
            small, scales, "nearest", "scales", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric", axes=constant(2, 3),
        )  # fmt: skip

    pattern = np.tile(np.array([[0, 1], [2, 3]], np.float32), (height // 2, width // 2))
    kept = op.equal(enlarged(phase), op.constant(pattern))
    return ov.Model([op.select(kept, enlarged(decoded), number(0))], [x, decoded], "unpooling")


def kinds(model: ov.Model) -> Counter[str]:
    return Counter(operation.get_type_name() for operation in model.get_ordered_ops())


def results(model: ov.Model, *inputs: np.ndarray) -> np.ndarray:
    compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(list(inputs))[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(12, 16), (11, 15), (45, 60)])
def test_unpooling_gives_the_same_bits_without_enlarging(kind: str, size: tuple[int, int]) -> None:
    model = pool_and_unpool(*size)
    x = picture(kind, (2, 5, *size))
    decoded = picture("normal", (2, 5, size[0] // 2, size[1] // 2))
    expected = results(model, x, decoded)
    rewrite(ov, model)
    assert kinds(model)["Interpolate"] == 0
    assert kinds(model)["Slice"] == 3
    assert (results(model, x, decoded) == expected).all()


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


def test_an_enlargement_with_another_pattern_stays_as_it_is() -> None:
    model = pool_and_unpool(8, 8)
    [equal] = [one for one in model.get_ordered_ops() if one.get_type_name() == "Equal"]
    stripes = np.tile(np.arange(8, dtype=np.float32) % 2, (8, 1))
    equal.input(1).replace_source_output(op.constant(stripes).output(0))
    x, decoded = picture("relu", (1, 5, 8, 8)), picture("normal", (1, 5, 4, 4))
    expected = results(model, x, decoded)
    rewrite(ov, model)
    assert kinds(model)["Interpolate"] == 2
    assert (results(model, x, decoded) == expected).all()


def test_a_network_without_any_of_it_is_not_touched() -> None:
    x = op.parameter([1, 3, 8, 8], np.float32)
    model = ov.Model(
        [op.relu(op.slice(x, constant(0), constant(8), constant(2), constant(2)))], [x]
    )
    before = kinds(model)
    rewrite(ov, model)
    assert kinds(model) == before
