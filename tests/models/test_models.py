"""Every registered network keeps the promises of its spec and paper."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from costs import cost_of
from torch import Tensor, nn

from models.errors import ModelError, SizeError, WeightsError
from models.registry import MODELS, build_model, model_spec
from models.vgg import TORCHVISION_FEATURES, load_vgg16, vgg16_stages


@pytest.mark.parametrize("name", ["segnet_lite", "segnet_basic", "fc_densenet56"])
def test_networks_that_pool_by_flooring_have_a_true_smallest_size(name: str) -> None:
    spec = model_spec(name)
    network = build_model(spec).eval()
    small = spec.minimum_size
    network(torch.randn(1, 3, small, small))
    with pytest.raises(RuntimeError):
        network(torch.randn(1, 3, small - 1, small - 1))


def test_segnet_has_the_parameters_of_its_paper() -> None:
    parameters = sum(p.numel() for p in build_model(model_spec("segnet")).parameters())
    assert parameters == 29_449_355
    assert f"{parameters / 1e6:.2f}M" == model_spec("segnet").paper.parameters


def test_multiply_adds_are_counted_from_the_layers() -> None:
    spec = model_spec("segnet")
    # Rows times columns after 0 to 4 poolings of 360x480, times 9 * inputs * outputs.
    areas = [360 * 480, 180 * 240, 90 * 120, 45 * 60, 22 * 30]
    encoder = [
        [(3, 64), (64, 64)],
        [(64, 128), (128, 128)],
        [(128, 256), (256, 256), (256, 256)],
        [(256, 512), (512, 512), (512, 512)],
        [(512, 512)] * 3,
    ]
    decoder = [
        [(64, 64), (64, 11)],
        [(128, 128), (128, 64)],
        [(256, 256), (256, 256), (256, 128)],
        [(512, 512), (512, 512), (512, 256)],
        [(512, 512)] * 3,
    ]
    expected = sum(
        area * 9 * inputs * outputs
        for area, down, up in zip(areas, encoder, decoder, strict=True)
        for inputs, outputs in (*down, *up)
    )
    assert cost_of(spec).gmacs == pytest.approx(expected / 1e9)
    assert cost_of(spec).parameters == 29_449_355


def test_segnet_is_convolutions_and_unpooling_only() -> None:
    network = build_model(model_spec("segnet"))
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 26
    assert {m.kernel_size for m in convolutions} == {(3, 3)}
    assert not [m for m in network.modules() if isinstance(m, (nn.ConvTranspose2d, nn.Linear))]
    widths = [m.out_channels for m in convolutions]
    encoder = [64, 64, 128, 128, *[256] * 3, *[512] * 6]
    decoder = [512, 512, 512, 512, 512, 256, 256, 256, 128, 128, 64, 64, 11]
    assert widths == encoder + decoder


def test_segnet_lite_is_the_same_network_at_a_quarter_of_the_widths() -> None:
    full, lite = (
        [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]
        for network in (build_model(model_spec("segnet")), build_model(model_spec("segnet_lite")))
    )
    assert [4 * width for width in lite[:-1]] == full[:-1]
    assert lite[-1] == full[-1] == 11


def test_an_unknown_network_is_named_with_its_nearest_match() -> None:
    with pytest.raises(ModelError, match="did you mean segnet_lite"):
        model_spec("segnet_lit")


def test_a_size_that_is_too_small_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(SizeError, match="nearest usable size is 32x48"):
        model_spec("segnet").check_size(16, 48)


def torchvision_state() -> dict[str, Tensor]:
    state = {}
    for stage, numbers in zip(vgg16_stages(), TORCHVISION_FEATURES, strict=True):
        for layer, number in zip(stage, numbers, strict=True):
            state[f"features.{number}.weight"] = torch.randn_like(layer.conv.weight)
            state[f"features.{number}.bias"] = torch.randn_like(layer.conv.bias)
    return state


def test_vgg16_weights_load_by_torchvisions_names_and_strictly() -> None:
    state, stages = torchvision_state(), vgg16_stages()
    load_vgg16(stages, state)
    assert torch.equal(stages[4][2].conv.weight, state["features.28.weight"])
    with pytest.raises(WeightsError, match=r"nothing for features\.0\.bias"):
        load_vgg16(stages, {k: v for k, v in state.items() if k != "features.0.bias"})
    with pytest.raises(WeightsError, match="unknown keys"):
        load_vgg16(stages, state | {"features.30.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match="unknown keys such as other"):
        load_vgg16(stages, state | {"other.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match="shape"):
        load_vgg16(vgg16_stages(width=0.5), state)


def test_the_registry_imports_no_torch() -> None:
    code = "import models.registry, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_registry_holds_the_networks_of_the_mission() -> None:
    families = (
        "fcn32s fcn16s fcn8s deconvnet segnet segnet_basic segnet_lite unet fc_densenet56 "
        "fc_densenet67 fc_densenet103 deeplab_v1 dilatednet_frontend dilatednet_context "
        "dilatednet_context7 deeplab_v2_vgg16 deeplab_v2_resnet101 pspnet_resnet50 "
        "pspnet_resnet101 pspnet_lite deeplab_v3_resnet50 deeplab_v3_resnet101 deeplab_v3_lite "
        "deeplab_v3plus_lite fcn8s_lite deconvnet_lite unet_lite deeplab_v1_lite dilatednet_lite "
        "deeplab_v2_lite pspnet_cut5 deeplab_v3_cut5 deeplab_v3plus_lite2 ddrnet23_slim"
    )
    assert set(families.split()) <= set(MODELS)
