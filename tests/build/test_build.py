"""Real builds: OpenVINO engines run here, TensorRT for RTX is built without a GPU."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorrt_rtx as trt
from quiet_progress import quiet
from torch import Tensor, nn

from models.errors import ModelError, SizeError, WeightsError
from models.registry import build_model, model_spec
from models.spec import InputSpec
from models.weights import load_weights
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine, load_engine
from pipeline.errors import BuildError, OutputError, RuntimeMissingError
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.eager import EagerSession
from pipeline.runtimes.onnx_export import export_onnx
from pipeline.runtimes.registry import open_engine, open_session
from pipeline.runtimes.tensorrt.network import collecting_logger, parse_network


@pytest.fixture(scope="module")
def graph() -> DeploymentGraph:
    spec = model_spec("segnet_lite")
    network = build_model(spec)
    load_weights(network, spec, None)
    return DeploymentGraph(network, replace(spec.input, width=120, height=90))


def test_the_manifest_tells_what_was_built(small_engine: Engine) -> None:
    manifest = load_engine(small_engine.path).manifest
    assert manifest.layers.source == "engine"
    assert manifest.layers.counts() == {"int8": 0, "fp16": 0, "fp32": 26}
    assert "encoder.4.2.conv" in manifest.layers.convolutions
    assert "classifier" in manifest.layers.convolutions
    assert (manifest.input.width, manifest.input.height) == (120, 90)
    assert manifest.accuracy is not None
    assert manifest.accuracy["parity"]["pixel_agreement"] > 0.999
    assert manifest.latency_ms is not None
    assert [file.name for file in manifest.files] == [
        "segnet_lite-openvino-fp32-120x90.xml",
        "segnet_lite-openvino-fp32-120x90.bin",
    ]


def test_only_the_engine_is_left_in_the_folder(small_engine: Engine) -> None:
    assert len(list(small_engine.folder.iterdir())) == 3


@pytest.mark.parametrize("size", [(90, 120), (360, 480), (65, 333), (720, 1280)])
def test_the_engine_agrees_with_pytorch_on_frames_of_any_size(
    small_engine: Engine, graph: DeploymentGraph, size: tuple[int, int]
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    with open_session(small_engine) as session:
        classes = session.run(frame)
    assert classes.shape == (1, 90, 120)
    assert np.mean(classes == EagerSession(graph).run(frame)) > 0.999


def test_building_again_replaces_its_own_files(
    small_engine: Engine, small_options: BuildOptions, tmp_path: Path
) -> None:
    shutil.copytree(small_engine.folder, tmp_path, dirs_exist_ok=True)
    again = build(replace(small_options, output=tmp_path), quiet)
    assert load_engine(again.path).manifest.files == again.manifest.files
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.slow
def test_an_engine_for_rtx_gpus_is_built_without_one(
    tmp_path: Path, small_options: BuildOptions
) -> None:
    options = replace(
        small_options,
        runtime="tensorrt-rtx",
        precision="fp16",
        output=tmp_path,
    )
    built = build(options, quiet)
    manifest = load_engine(built.path).manifest
    assert manifest.layers.source == "builder"
    assert manifest.layers.counts() == {"int8": 0, "fp16": 26, "fp32": 0}
    assert manifest.targets == ("sm80+",)
    assert manifest.layers.kernels == manifest.to_json()["layers"]["kernels"]
    assert 30 < (manifest.layers.kernels or 0) < 45
    # With Turing among the targets it is a third larger.
    assert 3e6 < sum(file.bytes for file in manifest.files) < 10e6
    assert manifest.runtime_version == trt.__version__
    assert manifest.latency_ms is None  # the engine was not run, so it has no figures
    assert any("not measured" in warning for warning in manifest.warnings)
    assert built.path.stat().st_size > 3_000_000  # 1.8 M weights in FP16
    with pytest.raises(RuntimeMissingError, match="tensorrt-rtx"):
        open_engine(built.path)


class PoolWithIndices(nn.Module):
    """One pooling level of SegNet as PyTorch users write it."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        values, indices = self.pool(x)
        unpooled: Tensor = self.unpool(values, indices)
        return unpooled


def test_a_plain_max_unpool_segnet_fails_where_ours_passes(tmp_path: Path) -> None:
    """This is the reason for ``models.unpooling``."""
    path = tmp_path / "plain.onnx"
    export_onnx(DeploymentGraph(PoolWithIndices(), InputSpec(96, 64)), path)
    logger = collecting_logger(trt)
    builder = trt.Builder(logger)
    with pytest.raises(BuildError, match="MaxPool"):
        parse_network(trt, builder, path, logger)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": "segnett"}, ModelError, "did you mean segnet"),
        ({"size": (20, 90)}, SizeError, "nearest usable size is 32x90"),
        ({"weights": "nowhere.safetensors"}, WeightsError, "not found"),
        ({"runtime": "tensorrt-rtx", "targets": ("sm90",)}, BuildError, "unknown GPU architecture"),
        ({"targets": ("sm86",)}, BuildError, "any CPU"),
        (
            {"runtime": "tensorrt-rtx", "precision": "bf16"},
            BuildError,
            "builds fp32, fp16, int8",
        ),
        ({"runtime": "abacus"}, RuntimeMissingError, "unknown runtime"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(
    tmp_path: Path,
    small_options: BuildOptions,
    change: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    options = replace(small_options, output=tmp_path / "out", **change)  # type: ignore[arg-type]
    with pytest.raises(error, match=message):
        build(options, quiet)
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.slow
def test_networks_that_leave_a_choice_of_output_stride_are_built_with_it(tmp_path: Path) -> None:
    options = BuildOptions("deeplab_v3_resnet50", weights="none", size=(96, 64), output=tmp_path)
    engine = build(replace(options, output_stride=8), quiet)
    assert engine.manifest.name == "deeplab_v3_resnet50-openvino-fp32-96x64-os8"
    assert engine.manifest.variant["output_stride"] == 8


def test_an_output_stride_that_a_network_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="deeplab_v3_resnet50 has 16, 8"):
        build(BuildOptions("deeplab_v3_resnet50", output_stride=4, output=tmp_path), quiet)
    with pytest.raises(BuildError, match="segnet has 32"):
        build(BuildOptions("segnet", output_stride=8, output=tmp_path), quiet)


def test_files_that_are_not_ours_are_kept(tmp_path: Path, small_options: BuildOptions) -> None:
    mine = tmp_path / "segnet_lite-openvino-fp32-120x90.xml"
    mine.write_text("precious")
    with pytest.raises(OutputError, match="--force"):
        build(replace(small_options, output=tmp_path), quiet)
    assert mine.read_text() == "precious"


def test_an_output_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, small_options: BuildOptions
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the engine"):
        build(replace(small_options, output=tmp_path / "file" / "engines"), quiet)


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, small_options: BuildOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pipeline.engine.publish.os.replace", full)
    with pytest.raises(OutputError, match="No space left"):
        build(replace(small_options, output=tmp_path), quiet)
    assert list(tmp_path.iterdir()) == []
