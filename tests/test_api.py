"""``import roadseg``: the parts that other people's programs rely on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import roadseg
from pipeline.engine.manifest import Engine
from pipeline.stream.frame import Image

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def frame() -> Image:
    return np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)


@pytest.fixture(params=[str, Path], ids=["text", "path"])
def net(request: pytest.FixtureRequest, small_engine: Engine) -> roadseg.Network:
    return roadseg.load(request.param(small_engine.path))


def test_importing_it_imports_nothing_else() -> None:
    code = (
        "import sys, roadseg\n"
        "heavy = {'numpy', 'cv2', 'torch', 'openvino'}\n"
        "ours = [name for name in sys.modules if name.startswith('roadseg.pipeline')]\n"
        "sys.exit(bool(heavy & set(sys.modules) or ours))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_public_name_is_there_and_no_other() -> None:
    assert dir(roadseg) == roadseg.__all__
    assert all(getattr(roadseg, name) is not None for name in roadseg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        roadseg.lod  # noqa: B018


def test_a_frame_becomes_classes_shares_and_a_picture(net: roadseg.Network, frame: Image) -> None:
    with net:
        result = net(frame)
    assert result.classes.shape == frame.shape[:2]
    assert result.classes.dtype == np.uint8
    assert result.class_map.shape == (90, 120)
    assert list(result.shares) == list(net.classes.names)
    assert sum(result.shares.values()) == pytest.approx(1.0)
    name = max(result.shares, key=lambda one: result.shares[one])
    mask = result.mask(name)
    assert set(np.unique(mask)) <= {0, 255}
    assert (mask > 0).mean() == pytest.approx(result.shares[name], abs=0.02)
    before = frame.copy()
    drawn = result.overlay(opacity=0.7, legend=True)
    assert drawn.shape == frame.shape
    assert (drawn != frame).any()
    assert (frame == before).all()
    assert (result.overlay(opacity=0.0) == frame).all()
    colours = dict(zip(net.classes.names, net.classes.palette, strict=True))
    solid = result.overlay(opacity=1.0, palette="camvid")
    rows, columns = np.nonzero(mask)
    seen = {tuple(colour[::-1]) for colour in solid[rows, columns].tolist()}
    assert colours[name] in seen
    clear = result.overlay(opacity=1.0)[rows, columns].tolist()
    assert colours[name] not in {tuple(colour[::-1]) for colour in clear}
    with pytest.raises(roadseg.RoadsegError, match="no palette grey; give clear, camvid"):
        result.overlay(palette="grey")
    assert net.size == (120, 90)
    assert "segnet_lite FP32 120x90" in repr(net)


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((1, 4, 4, 3), np.uint8)]
)
def test_an_array_that_is_no_frame_is_one_line(net: roadseg.Network, wrong: Image) -> None:
    with net, pytest.raises(roadseg.RoadsegError, match="expected uint8 of shape"):
        net(wrong)


def test_a_class_that_is_unknown_lists_those_that_are(net: roadseg.Network, frame: Image) -> None:
    with net, pytest.raises(roadseg.RoadsegError, match="no class 'car'; the network knows Sky"):
        net(frame).mask("car")


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_is_streamed_whole_and_in_order(
    net: roadseg.Network, tmp_path: Path, frame: Image, kind: type
) -> None:
    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), frame)
    with net:
        results = list(roadseg.stream(net, kind(tmp_path)))
        assert [(one.index, one.name) for one in results] == [(0, "a"), (1, "b"), (2, "c")]
        assert (results[0].class_map == net(frame).class_map).all()
        assert len(list(roadseg.stream(net, kind(tmp_path), frames=2))) == 2


def test_a_source_that_is_not_there_is_one_line(net: roadseg.Network) -> None:
    with net, pytest.raises(roadseg.RoadsegError, match=r"nowhere\.mp4 does not exist"):
        next(roadseg.stream(net, "nowhere.mp4"))


def test_a_network_that_does_not_exist_names_the_nearest() -> None:
    with pytest.raises(roadseg.RoadsegError, match=r"did you mean segnet\?"):
        roadseg.load("segnit")


@pytest.mark.slow
def test_a_build_returns_the_engine_and_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    path = roadseg.build(
        "segnet_lite",
        size=(96, 64),
        output=str(tmp_path),
        progress=lambda what, share: told.append((what, share)),
    )
    assert path.parent == tmp_path
    assert told
    with roadseg.load(path) as net:
        assert net.size == (96, 64)


def test_an_option_that_does_not_exist_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="no option 'precison'"):
        roadseg.build("segnet_lite", precison="int8")  # type: ignore[call-arg]


def test_a_build_for_a_runtime_that_is_missing_is_one_line() -> None:
    with pytest.raises(roadseg.RoadsegError, match="unknown runtime"):
        roadseg.build("segnet_lite", runtime="abacus")
