"""Pictures without labels can be ``--data`` for every precision and runtime."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from foreign_networks import class_file, export
from quiet_progress import quiet
from torch import nn

from calibration.scenes.synthetic import SyntheticDrive
from pipeline.build.build import BuildOptions, build
from pipeline.errors import RoadsegError
from pipeline.graph.onnx_import import ForeignOptions
from pipeline.runtimes.registry import can_build


@pytest.fixture
def options(tmp_path: Path) -> BuildOptions:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.ReLU(),
        nn.Conv2d(16, 5, 3, padding=1),
    )  # fmt: skip
    (tmp_path / "road").mkdir()
    drive = SyntheticDrive(96, 64)
    for index in range(16):
        cv2.imwrite(str(tmp_path / "road" / f"{index}.png"), drive.frame(40 * index)[0])
    foreign = ForeignOptions(
        export(network, tmp_path / "net.onnx"), class_file(tmp_path, 5, void=False)
    )
    return BuildOptions("", foreign=foreign, data=tmp_path / "road", output=tmp_path / "engines")


@pytest.mark.parametrize(
    ("runtime", "precision"),
    [("openvino", "fp32"), ("openvino", "int8"), ("tensorrt-rtx", "fp16")],
)
def test_agreement_is_measured_in_place_of_miou(
    runtime: str, precision: str, options: BuildOptions
) -> None:
    if not can_build(runtime):
        pytest.skip(f"{runtime} is not installed")
    options = BuildOptions(
        **{
            **vars(options),
            "runtime": runtime,
            "precision": precision,
            "targets": ("sm89",) if runtime == "tensorrt-rtx" else (),
            "calibration": options.data if precision == "int8" else None,
        }
    )
    accuracy = build(options, quiet).manifest.accuracy or {}
    assert "miou" not in accuracy
    if runtime == "openvino":
        assert accuracy["pixel_agreement"] > 0.97
        assert accuracy["frames"] == 16
    else:
        assert accuracy["fp16_graph"]["pixel_agreement"] > 0.97


def test_data_that_cannot_be_used_is_refused_before_the_work(
    options: BuildOptions, tmp_path: Path
) -> None:
    stages: list[str] = []
    wrong = BuildOptions(**{**vars(options), "data": tmp_path / "gone"})
    with pytest.raises(RoadsegError, match="no such folder"):
        build(wrong, lambda what, _share: stages.append(what))
    assert stages == []
    assert np.size(list((tmp_path / "engines").glob("*"))) == 0
