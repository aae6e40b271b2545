"""The deployment graph compared with OpenCV and NumPy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.spec import InputSpec
from pipeline.graph.deployment import DeploymentGraph


class Channels(nn.Module):
    """Returns its input, so that arg-max gets the result of preprocessing."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def reference(frame: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Resize and reorder as OpenCV does, in grey levels, (3, h, w)."""
    resized = cv2.resize(frame.astype(np.float32), (spec.width, spec.height))
    return (resized[..., ::-1] if spec.order == "rgb" else resized).transpose(2, 0, 1)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("size", [(360, 480), (720, 1280), (64, 64), (271, 333), (200, 960)])
@pytest.mark.parametrize(("dtype", "levels"), [(torch.float32, 0.05), (torch.float16, 1.0)])
def test_preprocessing_agrees_with_opencv_to_one_grey_level(
    order: str, size: tuple[int, int], dtype: torch.dtype, levels: float
) -> None:
    spec = InputSpec(480, 360, order=order)  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    with torch.no_grad():
        x = DeploymentGraph(Channels(), spec, dtype).preprocess(torch.from_numpy(frame[None]))
    mean, std = (np.array(v).reshape(3, 1, 1) for v in (spec.mean, spec.std))
    grey = (x[0].float().numpy() * std + mean) * 255
    assert np.abs(grey - reference(frame, spec)).max() <= levels


def test_a_frame_of_the_networks_size_is_not_resampled() -> None:
    spec = InputSpec(48, 36, mean=(0, 0, 0), std=(1, 1, 1), order="bgr")
    frame = np.random.default_rng(1).integers(0, 256, (1, 36, 48, 3), dtype=np.uint8)
    x = DeploymentGraph(Channels(), spec).preprocess(torch.from_numpy(frame))
    assert np.array_equal((x * 255).round().numpy().transpose(0, 2, 3, 1), frame)


def test_the_class_map_is_bytes_and_ties_go_to_the_lower_class() -> None:
    spec = InputSpec(48, 36, order="bgr", mean=(0, 0, 0), std=(1, 1, 1))
    frame = torch.zeros(2, 36, 48, 3, dtype=torch.uint8)
    frame[1, ..., 2] = 255
    classes = DeploymentGraph(Channels(), spec)(frame)
    assert classes.dtype == torch.uint8
    assert classes.shape == (2, 36, 48)
    assert classes[0].unique().tolist() == [0]
    assert classes[1].unique().tolist() == [2]
