"""Frames resized by OpenCV equal those resized by the deployment graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from openvino import opset13 as op

from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError
from pipeline.runtimes.openvino.core import compile_for_cpu, open_for_cpu
from pipeline.runtimes.openvino.frame_resize import FrameResize, resizes_outside, without_resize
from pipeline.runtimes.registry import open_session

#: The size of a network, (height, width).
SIZE = (36, 48)
#: (width, height): the same, half, three quarters, enlarged, two with uneven ratios, a line.
FRAMES = ((48, 36), (96, 72), (64, 48), (24, 18), (77, 33), (19, 101), (300, 1))


def noise(width: int, height: int, number: int = 1) -> NDArray[np.uint8]:
    random = np.random.default_rng(width)
    return random.integers(0, 256, (number, height, width, 3), dtype=np.uint8)


def beginning(
    mode: str = "linear_onnx",
    *,
    given: Any = np.uint8,
    order: tuple[int, ...] = (0, 3, 1, 2),
    read_twice: bool = False,
    **how: Any,
) -> ov.Model:
    """A deployment graph whose network does nothing."""
    frames = op.parameter([1, -1, -1, 3], given, name="frames")
    planes = op.transpose(op.convert(frames, "f32"), np.array(order))
    how = {"coordinate_transformation_mode": "half_pixel"} | how
    resized = op.interpolate(planes, np.array(SIZE), mode, "sizes", axes=np.array([2, 3]), **how)
    results = [resized.output(0)]
    if read_twice:
        results.append(op.reduce_mean(planes, np.array([2, 3])).output(0))
    return ov.Model(results, [frames], "deployment")


@pytest.mark.parametrize(("width", "height"), FRAMES)
def test_it_is_the_resize_of_pytorch(width: int, height: int) -> None:
    frames = noise(width, height, 2)
    exact = F.interpolate(
        torch.from_numpy(frames).double().permute(0, 3, 1, 2), size=SIZE, mode="bilinear"
    )
    resized = FrameResize(SIZE, 2)(frames)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, exact.permute(0, 2, 3, 1), atol=1e-4)
    np.testing.assert_array_equal(frames, noise(width, height, 2))


def test_sizes_may_change_from_call_to_call() -> None:
    resize = FrameResize(SIZE, 1)
    first = resize(noise(96, 72)).copy()
    resize(noise(77, 33))
    np.testing.assert_array_equal(resize(noise(96, 72)), first)


@pytest.mark.parametrize("mode", ["linear", "linear_onnx"])
@pytest.mark.parametrize(("width", "height"), FRAMES)
def test_a_network_without_its_resize_computes_the_same(mode: str, width: int, height: int) -> None:
    core, frames = ov.Core(), noise(width, height)
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    expected = core.compile_model(beginning(mode), "CPU", hint)(frames)[0]
    cut = core.compile_model(without_resize(ov, beginning(mode)), "CPU", hint)
    assert resizes_outside(cut)
    # OpenVINO's positions are off by some of their last bits.
    np.testing.assert_allclose(cut(FrameResize(SIZE, 1)(frames))[0], expected, atol=0.02)


@pytest.mark.parametrize(
    "other",
    [
        {"antialias": True, "mode": "linear"},
        {"mode": "nearest"},
        {"mode": "cubic"},
        {"coordinate_transformation_mode": "align_corners"},
        {"pads_begin": [0, 0, 1, 0]},
        {"order": (0, 3, 2, 1)},
        {"given": np.int8},
        {"read_twice": True},
    ],
    ids=str,
)
def test_what_begins_otherwise_stays_as_it_is(other: dict[str, Any]) -> None:
    model = beginning(**other)
    kinds = [operation.get_type_name() for operation in model.get_ordered_ops()]
    same = without_resize(ov, model)
    assert same is model
    assert [operation.get_type_name() for operation in same.get_ordered_ops()] == kinds


def test_an_engine_is_opened_without_its_resize(small_engine: Engine) -> None:
    opened = open_for_cpu(small_engine, {}, None)
    assert resizes_outside(opened)
    types = {
        operation.get_rt_info()["originalLayersNames"].astype(str)
        for operation in opened.get_runtime_model().get_ops()
        if operation.get_rt_info()["layerType"].astype(str) == "Interpolate"
    }
    whole = compile_for_cpu(small_engine.path, small_engine.manifest.precision)
    assert "upsample_bilinear2d" not in " ".join(types)
    assert not resizes_outside(whole)
    given = small_engine.manifest.input
    frames = noise(given.width, given.height)
    with open_session(small_engine) as session:
        assert np.mean(session.run(frames) == whole(frames)[0]) > 0.999


def test_a_frame_without_pixels_is_one_line(small_engine: Engine) -> None:
    with (
        open_session(small_engine) as session,
        pytest.raises(EngineError, match=r"frames of 5x0 .* give frames of another size"),
    ):
        session.run(np.zeros((1, 0, 5, 3), np.uint8))
