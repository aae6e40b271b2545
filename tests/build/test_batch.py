"""Engines that take several frames in one run."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorrt_rtx as trt
import torch
from quiet_progress import quiet
from tensorrt_interpreter import interpret

from calibration.scenes.synthetic import SyntheticDrive
from pipeline.build.build import build
from pipeline.build.bundle import bundle_of, open_bundle
from pipeline.build.from_bundle import RebuildOptions, rebuild
from pipeline.build.options import BuildOptions
from pipeline.cli.values import batch, sizes
from pipeline.engine.manifest import Engine
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.tensorrt.network import collecting_logger, parse_network

SMALL = BuildOptions("segnet_lite", size=(96, 64))


def frames(count: int) -> np.ndarray:
    drive = SyntheticDrive(160, 120)
    return np.stack([drive.frame(40 * index)[0] for index in range(count)])


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return build(replace(SMALL, output=tmp_path_factory.mktemp("single")), quiet)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(1, 2, 4), (3, 3, 3)])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_any_number_of_frames_gives_what_each_gives_alone(
    sizes: tuple[int, int, int], precision: str, single: Engine, tmp_path: Path
) -> None:
    size = None if precision == "int8" else SMALL.size  # INT8 uses the registered table
    options = replace(SMALL, precision=precision, size=size, batch=sizes, output=tmp_path)
    engine = build(options, quiet)
    assert engine.manifest.frames.batch == sizes[2]
    assert engine.manifest.frames.batch_range == sizes
    assert f"-batch{sizes[0]}to{sizes[2]}" in engine.manifest.name
    with open_session(engine) as session:
        assert session.input_spec.shape[0] == sizes[2]
        pictures = frames(5)
        together = session.run(pictures)
        alone = np.concatenate([session.run(picture[None]) for picture in pictures])
        assert np.mean(together == alone) > 0.999
    if precision == "fp32":
        with open_session(single) as session:
            assert np.mean(session.run(pictures) == together) > 0.999


@pytest.mark.slow
def test_tensorrt_gets_a_profile_and_a_network_of_free_batch(tmp_path: Path) -> None:
    options = replace(
        SMALL, runtime="tensorrt-rtx", targets=("sm89",), batch=(1, 4, 8), bundle=True
    )
    engine = build(replace(options, output=tmp_path), quiet)
    assert engine.manifest.frames.batch_range == (1, 4, 8)
    logger = collecting_logger(trt)
    builder = trt.Builder(logger)
    with open_bundle(bundle_of(engine)) as (_, onnx, _):
        network = parse_network(trt, builder, onnx, logger)
        assert tuple(network.get_input(0).shape) == (-1, -1, -1, 3)
        pictures = torch.from_numpy(frames(3))
        (together,) = interpret(network, frames=pictures).values()
        (first,) = interpret(network, frames=pictures[:1]).values()
    assert together.shape == (3, 64, 96)
    assert float((together[0] == first[0]).float().mean()) > 0.999


@pytest.mark.parametrize(("text", "value"), [("4", (4, 4, 4)), ("1:4:8", (1, 4, 8))])
def test_batches_are_read(text: str, value: tuple[int, int, int]) -> None:
    assert batch(text) == value


@pytest.mark.parametrize("text", ["0", "8:4:1", "1:2", "a", "1:4:800", ""])
def test_other_batches_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="FEWEST:USUAL:MOST"):
        batch(text)


@pytest.mark.slow
def test_the_frames_of_the_camera_can_be_told(tmp_path: Path) -> None:
    sizes = ((320, 240), (640, 480), (640, 480))
    options = replace(SMALL, runtime="tensorrt-rtx", targets=("sm89",), sizes=sizes, bundle=True)
    engine = build(replace(options, output=tmp_path), quiet)
    told = engine.manifest.frames
    assert told.sizes == sizes
    again = rebuild(bundle_of(engine), RebuildOptions(output=tmp_path / "again"), quiet)
    assert again.manifest.frames == told


def test_frame_sizes_are_read() -> None:
    assert sizes("640x480") == ((640, 480),) * 3
    assert sizes("64x64:640x480:1920x1080") == ((64, 64), (640, 480), (1920, 1080))


@pytest.mark.parametrize("text", ["640x480:320x240:640x480", "10x10", "1x", "64x64:99999x64:1x1"])
def test_other_frame_sizes_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected"):
        sizes(text)
