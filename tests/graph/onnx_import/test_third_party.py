"""Architectures of segmentation-models-pytorch and torchvision, as both exporters write them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from quiet_progress import quiet
from third_party import CLASSES, FILES, third_party

from calibration.scenes.synthetic import SyntheticDrive
from pipeline.build.build import BuildOptions, build
from pipeline.graph.onnx_import import ForeignOptions, open_foreign
from pipeline.runtimes.registry import open_session

#: Quick ones, imported from both exporters in every run of the tests.
QUICK = {"smp_fpn", "smp_linknet", "smp_pspnet", "smp_segformer", "smp_pan", "tv_lraspp"}


def written(name: str, folder: Path) -> ForeignOptions:
    classes = folder / "classes.txt"
    classes.write_text("".join(f"class {index}\n" for index in range(CLASSES)))
    path = folder / f"{name}.onnx"
    onnx.save(third_party(name), path)
    return ForeignOptions(path, classes)


def outputs(options: ForeignOptions, pictures: np.ndarray) -> np.ndarray:
    """ONNX Runtime's outputs for the unchanged file."""
    session = onnxruntime.InferenceSession(options.path)
    logits: np.ndarray = session.run(None, {session.get_inputs()[0].name: pictures})[0]
    return logits


def test_twelve_architectures_are_there_from_both_exporters() -> None:
    both = {name.rpartition("-")[0] for name in FILES if name.endswith("script")}
    both &= {name.rpartition("-")[0] for name in FILES if name.endswith("dynamo")}
    assert len(both) >= 12


@pytest.mark.parametrize(
    "name",
    [
        name if name.rpartition("-")[0] in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in FILES
    ],
)
def test_an_import_has_the_class_map_of_onnx_runtime(name: str, tmp_path: Path) -> None:
    options = written(name, tmp_path)
    foreign = open_foreign(options, None)
    size = (foreign.spec.input.height, foreign.spec.input.width)
    pictures = torch.randn((1, 3, *size), generator=torch.Generator().manual_seed(1))
    wanted = outputs(options, pictures.numpy())
    found = foreign.network(pictures).numpy()
    assert np.mean(found.argmax(1) == wanted.argmax(1)) > 0.999
    assert np.abs(found - wanted).max() < 0.01 * wanted.std()


@pytest.mark.parametrize("name", ["smp_pspnet-dynamo", "tv_lraspp-script"])
def test_an_engine_has_the_class_map_of_onnx_runtime(name: str, tmp_path: Path) -> None:
    options = written(name, tmp_path)
    engine = build(BuildOptions("", precision="fp32", foreign=options, output=tmp_path), quiet)
    spec = engine.manifest.input
    frame = SyntheticDrive(spec.width, spec.height).frame(30)[0]
    picture = (frame[..., ::-1] / 255 - np.array(spec.mean)) / np.array(spec.std)
    wanted = outputs(options, picture.transpose(2, 0, 1)[None].astype(np.float32)).argmax(1)
    with open_session(engine) as session:
        assert np.mean(session.run(frame[None]) == wanted) > 0.999


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["smp_unet-script", "smp_linknet-dynamo", "smp_fpn-script", "tv_lraspp-dynamo"]
)
def test_int8_runs_in_int8_and_keeps_the_classes(name: str, tmp_path: Path) -> None:
    options = written(name, tmp_path)
    spec = open_foreign(options, None).spec.input
    drive = SyntheticDrive(spec.width, spec.height)
    for part in ("images", "labels"):
        (tmp_path / "road" / part).mkdir(parents=True)
    for index in range(16):
        image, label = drive.frame(index * 40)
        cv2.imwrite(str(tmp_path / "road" / "images" / f"{index}.png"), image)
        cv2.imwrite(str(tmp_path / "road" / "labels" / f"{index}.png"), label % CLASSES)
    asked = BuildOptions(
        "",
        precision="int8",
        foreign=options,
        calibration=tmp_path / "road",
        data=tmp_path / "road",
        max_miou_drop=1.0,  # random weights have no accuracy
        output=tmp_path,
    )
    engine = build(asked, quiet)
    counts = engine.manifest.layers.counts()
    assert counts["int8"] > counts["fp32"] / 2
    frame = drive.frame(30)[0]
    picture = (frame[..., ::-1] / 255 - np.array(spec.mean)) / np.array(spec.std)
    wanted = outputs(options, picture.transpose(2, 0, 1)[None].astype(np.float32)).argmax(1)
    with open_session(engine) as session:
        # Measured: 83 % (smp_fpn), above 90 % the others: classes of random weights are close.
        assert np.mean(session.run(frame[None]) == wanted) > 0.8
