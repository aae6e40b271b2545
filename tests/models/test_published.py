"""Whole networks of torchvision: their keys, their logits, and files of other origin.

``tests/data/torchvision`` was made by torchvision's own networks (``make.py`` there).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision_values import STEP, picture, state

from models import published
from models.classes import CAMVID, VOC
from models.errors import WeightsError
from models.published import NETWORKS, is_published
from models.registry import MODELS, build_model, model_spec
from models.spec import ModelSpec
from models.weights import as_trained, load_weights
from pipeline.build.network import choose
from pipeline.build.options import BuildOptions
from pipeline.errors import BuildError
from pipeline.train.start import start_from_trained

MADE = Path(__file__).parents[1] / "data" / "torchvision"
ROWS = pytest.mark.parametrize("name", NETWORKS)

#: Tensors without the auxiliary head.
COUNTS = {
    "fcn_resnet50": 326,
    "fcn_resnet101": 632,
    "deeplab_v3_resnet50": 362,
    "deeplab_v3_resnet101": 668,
}


def keys_of(name: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes in torchvision's network of a registry name, by their keys."""
    text = (MADE / f"{NETWORKS[name].name}.keys").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines()]
    return {key: tuple(map(int, size)) for key, *size in lines}


def built(spec: ModelSpec) -> torch.nn.Module:
    with torch.device("meta"):
        return build_model(spec)


@ROWS
def test_every_tensor_of_torchvisions_has_its_place(name: str) -> None:
    theirs = keys_of(name)
    kept = {key: size for key, size in theirs.items() if not key.startswith("aux_classifier.")}
    assert len(kept) == COUNTS[name] == len(theirs) - 8
    ours = {
        published._theirs(key): tuple(value.shape)
        for key, value in built(replace(MODELS[name], classes=VOC)).state_dict().items()
    }
    assert ours == kept


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n.endswith("101") else n for n in NETWORKS],
)
def test_its_weights_compute_torchvisions_logits(name: str, tmp_path: Path) -> None:
    """As ``.pth`` and as safetensors, through the function that every command calls."""
    suffix = "safetensors" if name == "fcn_resnet50" else "pth"
    path = tmp_path / f"{name}.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(state(keys_of(name)), path)
    spec = as_trained(model_spec(name), str(path))
    assert (spec.classes, spec.output_stride) == (VOC, 8)
    network = build_model(spec).eval()
    assert load_weights(network, spec, str(path)).sha256 is not None
    with torch.no_grad():
        computed = network(picture())[0, :, ::STEP, ::STEP].numpy()
    expected = np.load(MADE / "logits.npz")[NETWORKS[name].name]
    assert np.abs(computed - expected).max() < 1e-4 * expected.std()


#: Small enough to be written and read quickly; only the names matter.
NARROW = replace(
    model_spec("deeplab_v3_resnet50"), variant={"depth": 50, "width": 1 / 32}, classes=CAMVID
)


@pytest.fixture(scope="module")
def narrow() -> dict[str, Tensor]:
    """A DeepLab v3 in torchvision's layout, random, with auxiliary head."""
    torch.manual_seed(0)
    theirs = {
        published._theirs(key): value
        for key, value in build_model(replace(NARROW, classes=VOC)).state_dict().items()
    }
    return theirs | {"aux_classifier.4.bias": torch.zeros(21)}


def test_a_random_one_saved_by_pytorch_loads_as_it_was_trained(
    narrow: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "mine.pth"
    torch.save(narrow, path)
    small = replace(NARROW, input=replace(NARROW.input, width=160, height=120, mean=(0.0,) * 3))
    spec = as_trained(small, str(path))
    assert spec.classes == VOC
    assert (spec.output_stride, spec.output_strides) == (8, (16,))
    assert spec.variant["output_stride"] == 8
    assert (spec.input.width, spec.input.height) == (160, 120)
    assert spec.input.mean == (0.485, 0.456, 0.406)
    network = build_model(spec)
    load_weights(network, spec, str(path))
    assert torch.equal(network.head[4].weight, narrow["classifier.4.weight"])


def test_half_precision_is_read_as_fp32(narrow: dict[str, Tensor], tmp_path: Path) -> None:
    halved = {k: v.half() if v.is_floating_point() else v for k, v in narrow.items()}
    torch.save(halved, tmp_path / "half.pth")
    spec = as_trained(NARROW, str(tmp_path / "half.pth"))
    network = build_model(spec)
    load_weights(network, spec, str(tmp_path / "half.pth"))
    assert network.head[4].weight.dtype == torch.float32


class Trap:
    """Ends the process when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return sys.exit, ("unpickled",)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"classifier.4.weight": torch.zeros(19, 8, 1, 1)},
            r"shape \(19, 8, 1, 1\) for classifier\.4\.weight, expected shape \(21, 8, 1, 1\)",
        ),
        ({"backbone.layer4.2.bn3.bias": None}, r"nothing for backbone\.layer4\.2\.bn3\.bias, exp"),
        (
            {"backbone.layer3.6.conv1.weight": torch.zeros(2)},
            r"shape \(2,\) for backbone\.layer3\.6\.conv1\.weight, expected nothing",
        ),
        ({"backbone.bn1.weight": torch.full((2,), torch.nan)}, "2 NaN or infinite"),
    ],
    ids=["other classes", "missing", "left over", "not finite"],
)
def test_a_file_of_another_network_is_one_line_with_key_and_shape(
    narrow: dict[str, Tensor],
    tmp_path: Path,
    suffix: str,
    change: dict[str, Tensor | None],
    message: str,
) -> None:
    path = tmp_path / f"wrong.{suffix}"
    changed = {k: v for k, v in (narrow | change).items() if v is not None}
    (save_file if suffix == "safetensors" else torch.save)(changed, path)
    refused(path, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"backbone.conv1.weight": Trap()}, "cannot be read as a state dict of torchvision's"),
        ({"model": {"backbone.conv1.weight": torch.zeros(1)}}, "cannot be read as a state dict"),
        ([torch.zeros(1)], "cannot be read as a state dict"),
        ({"features.0.weight": torch.zeros(1)}, r"nothing for backbone\.conv1\.weight"),
    ],
    ids=["code", "checkpoint", "list", "another network"],
)
def test_a_file_that_is_no_state_dict_is_one_line_and_never_unpickled(
    tmp_path: Path, content: object, message: str
) -> None:
    torch.save(content, tmp_path / "wrong.pth")
    refused(tmp_path / "wrong.pth", message)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not weights"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors", "bin"])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"w.{suffix}").write_bytes(content)
    refused(tmp_path / f"w.{suffix}", "cannot be read as")


def refused(path: Path, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        loaded(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def loaded(path: Path) -> None:
    spec = as_trained(NARROW, str(path))
    load_weights(build_model(spec), spec, str(path))


def test_a_network_that_torchvision_does_not_have_says_which_it_has(
    narrow: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(narrow, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"none are known for segnet \(known for: fcn_resnet50"):
        as_trained(model_spec("segnet"), str(tmp_path / "w.pth"))


def test_our_own_weights_are_no_published_ones() -> None:
    from models.weights import TRAINED

    files = sorted(TRAINED.glob("*.safetensors"))
    assert files
    assert not any(is_published(file) for file in files)


def test_the_stride_that_was_asked_for_goes_before_the_published_one(
    narrow: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, NARROW.name, NARROW)
    torch.save(narrow, tmp_path / "w.pth")
    options = BuildOptions(NARROW.name, weights=str(tmp_path / "w.pth"), size=(64, 48))
    usual, wide = choose(options), choose(replace(options, output_stride=16))
    assert (usual.spec.output_stride, usual.suffix) == (8, "-64x48-os8")
    assert (wide.spec.output_stride, wide.suffix) == (16, "-64x48")
    rates = [branch[0].dilation[0] for branch in list(wide.network.head[0].convs)[1:4]]
    assert rates == [6, 12, 18]
    with pytest.raises(BuildError, match="deeplab_v3_resnet50 has 8, 16"):
        choose(replace(options, output_stride=32))


def test_training_goes_on_from_it_with_a_classifier_of_its_own(
    narrow: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(narrow, tmp_path / "w.pth")
    network = build_model(NARROW)
    random = start_from_trained(network, NARROW, str(tmp_path / "w.pth"))
    assert random == ["head.4.bias", "head.4.weight"]
    kept = network.encoder.layer4[2].conv3.weight
    assert torch.equal(kept, narrow["backbone.layer4.2.conv3.weight"])
