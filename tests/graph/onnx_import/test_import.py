"""Networks from ONNX files of other projects: built, evaluated and run like our own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from foreign_networks import (
    CLASSES,
    SIZE,
    ChannelsLast,
    PlainSegNet,
    Then,
    class_file,
    export,
    made,
)
from quiet_progress import quiet
from torch import Tensor, nn

from calibration.scenes.synthetic import SyntheticDrive
from models.spec import InputSpec
from pipeline.build.build import BuildOptions, build
from pipeline.cli import main
from pipeline.engine.manifest import load_engine
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.onnx_import import ForeignOptions, open_foreign
from pipeline.runtimes.registry import open_session

Captured = pytest.CaptureFixture[str]

FRAMES = 16
FORMS = ("fixed", "nhwc", "argmax", "dynamic")


def class_map(logits: Tensor) -> Tensor:
    return logits.argmax(1, keepdim=True).to(torch.int32)


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled folder of frames of the synthetic drive."""
    folder = tmp_path_factory.mktemp("road")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    drive = SyntheticDrive(SIZE[1], SIZE[0])
    for index in range(FRAMES):
        image, label = drive.frame(index * 40)
        cv2.imwrite(str(folder / "images" / f"{index:03d}.png"), image)
        cv2.imwrite(str(folder / "labels" / f"{index:03d}.png"), label)
    return folder


@pytest.fixture(scope="module")
def forms(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same network in four files."""
    folder = tmp_path_factory.mktemp("onnx")
    last = (1, *SIZE, 3)
    return {
        "fixed": export(network, folder / "fixed.onnx", opset=11),
        "nhwc": export(ChannelsLast(network), folder / "nhwc.onnx", last, opset=13),
        "argmax": export(Then(network, class_map), folder / "argmax.onnx", opset=18),
        "dynamic": export(network, folder / "dynamic.onnx", opset=20, free=(0, 2, 3)),
    }


def arguments_of(form: str, path: Path, folder: Path) -> list[str]:
    size = ["--size", f"{SIZE[1]}x{SIZE[0]}"] if form == "dynamic" else []
    return ["--onnx", str(path), "--classes", str(class_file(folder)), *size]


def truth(network: nn.Module, frame: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Compute it as the network's authors would: RGB, 0..1, ImageNet statistics."""
    picture = frame[..., ::-1].astype(np.float32) / 255
    picture = (picture - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    with torch.no_grad():
        logits = network(torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()))
    return logits.argmax(1).numpy().astype(np.uint8)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_built_evaluated_and_run(
    form: str,
    forms: dict[str, Path],
    network: nn.Module,
    road: Path,
    tmp_path: Path,
    capsys: Captured,
) -> None:
    given = arguments_of(form, forms[form], tmp_path)
    assert main(["build", *given, "--output", str(tmp_path), "--precision", "fp32", "--json"]) == 0
    built = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert built["model"] == form
    assert built["layers"] == {"int8": 0, "fp16": 0, "fp32": 9}
    engine = load_engine(Path(built["engine"]))
    frame = SyntheticDrive(SIZE[1], SIZE[0]).frame(60)[0]
    with open_session(engine) as session:
        found = session.run(frame[None])
    assert np.mean(found == truth(network, frame, engine.manifest.input)) > 0.999
    assert main(["evaluate", built["engine"], "--data", str(road), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert scores["frames"] == FRAMES
    assert set(scores["iou"]) == {f"class {index}" for index in range(CLASSES)}
    assert main(["run", built["engine"], "--source", "synthetic", "--frames", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["frames"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("form", ["nhwc", "dynamic"])
def test_int8_goes_through_calibration_and_gate(
    form: str, forms: dict[str, Path], road: Path, tmp_path: Path
) -> None:
    options = BuildOptions(
        "",
        precision="int8",
        foreign=ForeignOptions(forms[form], class_file(tmp_path)),
        size=(SIZE[1], SIZE[0]),
        calibration=road,
        data=road,
        max_miou_drop=0.05,
        output=tmp_path,
    )
    manifest = build(options, quiet).manifest
    layers = manifest.layers.convolutions
    kept = {name.removeprefix("network.") for name, kind in layers.items() if kind != "int8"}
    assert kept == {"stem.0", "up", "squeeze", "excite"}
    assert manifest.layers.counts()["int8"] == 5
    assert manifest.accuracy is not None
    assert manifest.accuracy["miou_fp32"] - manifest.accuracy["miou"] <= 0.05
    assert manifest.calibration is not None
    assert manifest.calibration["frame_count"] == FRAMES
    assert manifest.calibration["weights"] == manifest.weights.sha256
    again = replace(options, calibration=tmp_path / f"{manifest.name}.calibration.json", data=None)
    rebuilt = build(replace(again, max_miou_drop=None, output=tmp_path / "again"), quiet)
    assert rebuilt.manifest.layers == manifest.layers


@pytest.mark.parametrize("form", ["argmax", "dynamic"])
def test_engines_for_rtx_gpus_are_built_in_half_precision(
    form: str, forms: dict[str, Path], tmp_path: Path
) -> None:
    options = BuildOptions(
        "",
        runtime="tensorrt-rtx",
        precision="fp16",
        foreign=ForeignOptions(forms[form], class_file(tmp_path)),
        size=(SIZE[1], SIZE[0]),
        batch=(1, 2, 4) if form == "dynamic" else (1, 1, 1),
        targets=("sm89",),
        output=tmp_path,
    )
    manifest = build(options, quiet).manifest
    assert manifest.layers.counts() == {"int8": 0, "fp16": 9, "fp32": 0}


def test_the_manifest_names_the_file_and_what_was_assumed(
    forms: dict[str, Path], tmp_path: Path
) -> None:
    foreign = open_foreign(ForeignOptions(forms["argmax"], class_file(tmp_path)), None)
    assert foreign.weights.name == "argmax.onnx"
    assert foreign.weights.sha256 is not None
    assert foreign.spec.name == "argmax"
    assert foreign.spec.variant["onnx"] == "argmax.onnx"
    assert not foreign.sized
    assert any("ImageNet" in warning for warning in foreign.warnings)


def test_a_file_named_like_a_network_of_ours_gets_another_name(
    forms: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "segnet.onnx"
    path.write_bytes(forms["fixed"].read_bytes())
    assert open_foreign(ForeignOptions(path, class_file(tmp_path)), None).spec.name == "segnet_onnx"


def test_mean_and_std_are_grey_levels_in_the_order_of_the_network(
    forms: dict[str, Path], tmp_path: Path
) -> None:
    """The same normalisation, written in three ways."""
    mean, std = (123.0, 117.0, 104.0), (255.0, 102.0, 51.0)
    frame = torch.from_numpy(SyntheticDrive(SIZE[1], SIZE[0]).frame(0)[0])[None]
    blue = (frame[0, ..., 0].float() - 104) / 51
    for order, channel in (("rgb", 2), ("bgr", 0), (None, 2)):
        turn = -1 if order == "bgr" else 1
        options = ForeignOptions(
            forms["fixed"],
            class_file(tmp_path),
            mean[::turn],
            std[::turn],
            order,  # type: ignore[arg-type]
        )
        foreign = open_foreign(options, None)
        given = DeploymentGraph(foreign.network, foreign.spec.input).preprocess(frame)
        torch.testing.assert_close(given[0, channel], blue, rtol=0, atol=1e-4)


def test_a_plain_segnet_becomes_a_network_that_every_runtime_takes(tmp_path: Path) -> None:
    """PyTorch exports its unpooling as scattered writes, which no TensorRT front end supports."""
    network = made(PlainSegNet)
    path = export(network, tmp_path / "plain.onnx", opset=18)
    options = ForeignOptions(path, class_file(tmp_path))
    foreign = open_foreign(options, None, batch=2)
    pictures = torch.randn((2, 3, *SIZE))
    with torch.no_grad():
        torch.testing.assert_close(foreign.network(pictures), network(pictures))
    manifest = build(
        BuildOptions("", "tensorrt-rtx", "fp16", foreign=options, targets=("sm86",),
                     output=tmp_path), quiet
    ).manifest  # fmt: skip
    assert manifest.layers.counts()["fp16"] == 4


def test_squeezed_parts_and_skips_are_placed_as_in_our_own_networks(
    forms: dict[str, Path], tmp_path: Path
) -> None:
    foreign = open_foreign(ForeignOptions(forms["fixed"], class_file(tmp_path)), None)
    placement = ExportedGraph(DeploymentGraph(foreign.network, foreign.spec.input)).placement()
    reasons = {one.name: one.reason.partition(":")[0] for one in placement.convolutions}
    assert reasons == {
        "stem.0": "first convolution",
        "down": "",
        "first": "",
        "depthwise": "",
        "squeeze": "global pooling branch",
        "excite": "global pooling branch",
        "up": "transposed convolution",
        "mix": "",
        "classifier": "",
    }
    assert placement.classifiers == ("classifier",)
    assert len(placement.skips) == 1
    assert len(placement.concats) == 1
    # The skips are also read by convolutions, and named after these.
    assert list(placement.tensors.values()) == [
        "down",
        "first",
        "depthwise",
        "mix",
        "classifier",
        "mix.concat.1",
    ]
