"""The networks of papers and their releases, against ours: the rows of ``docs/models.md``."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from models.aspp import ASPP
from models.classes import BUILT_IN, CAMVID, CITYSCAPES, VOC
from models.deeplab_v3 import build_deeplab_v3_resnet
from models.fcn import build_fcn
from models.pspnet import BINS, PyramidPooling
from models.receptive_field import receptive_field
from models.registry import MODELS, build_model, model_spec
from models.resnet import ResNet
from models.segnet import SegNetBasic

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def narrow(name: str, width: float = 1 / 16) -> nn.Module:
    torch.manual_seed(0)
    spec = model_spec(name)
    return build_model(replace(spec, variant={**spec.variant, "width": width}))


def dilations(encoder: ResNet) -> list[list[int]]:
    """Return the dilations of the 3x3 convolutions of each stage, block by block."""
    stages = (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4)
    return [[block.conv2.dilation[0] for block in stage] for stage in stages]  # type: ignore


@pytest.mark.parametrize("layers", [("conv", "conv"), ("conv", "pool", "conv"), ("rate 2",)])
def test_receptive_fields_are_those_of_the_lecture(layers: tuple[str, ...]) -> None:
    known = {("conv", "conv"): 5, ("conv", "pool", "conv"): 8, ("rate 2",): 5}
    made = {
        "conv": lambda: nn.Conv2d(3, 3, 3, padding=1),
        "pool": lambda: nn.MaxPool2d(2),
        "rate 2": lambda: nn.Conv2d(3, 3, 3, padding=2, dilation=2),
    }
    network = nn.Sequential(*(made[layer]() for layer in layers)).eval()
    field = receptive_field(network, 64, 64)
    assert (field.height, field.width) == (known[layers], known[layers])


@pytest.mark.parametrize("name", ["fc_densenet56", "fc_densenet103"])
def test_every_layer_of_fc_densenet_starts_he_uniform(name: str) -> None:
    """Transposed convolutions and classifier too: within sqrt(6 / N) for N incoming values."""
    network = narrow(name, 1 / 2)
    for module in network.modules():
        if isinstance(module, _CONVOLUTIONS):
            incoming = module.weight[0].numel()
            bound = math.sqrt(6 / incoming)
            largest = float(module.weight.detach().abs().max())
            assert 0.9 * bound < largest <= bound
            assert not module.bias.any()


def test_unet_starts_as_its_paper_says() -> None:
    network = narrow("unet", 1 / 2)
    deviations = {
        name: float(module.weight.detach().std()) / math.sqrt(2 / incoming)
        for name, module in network.named_modules()
        if isinstance(module, _CONVOLUTIONS)
        for incoming in [
            module.in_channels
            if isinstance(module, nn.ConvTranspose2d)
            else module.weight[0].numel()
        ]
        if module.weight.numel() > 1000
    }
    assert len(deviations) > 20
    assert all(0.9 < ratio < 1.1 for ratio in deviations.values()), deviations


def test_unet_has_the_releases_relus_and_dropouts() -> None:
    network = narrow("unet").train()
    joined: list[Tensor] = []
    for level in network.decoder:
        level.register_forward_pre_hook(lambda _module, inputs: joined.append(inputs[0]))
    dropped: list[tuple[int, ...]] = []
    network.dropout.register_forward_hook(lambda _m, _i, output: dropped.append(output.shape))
    network(torch.randn(1, 3, 64, 64))
    assert network.dropout.p == 0.5
    assert [shape[-1] for shape in dropped] == [8, 4]
    for x in joined:  # both halves are ReLU outputs
        skip, up = x.chunk(2, 1)
        assert (skip >= 0).all()
        assert (up >= 0).all()
        assert (up == 0).any()


@pytest.mark.parametrize(
    ("name", "learns"),
    [
        ("fcn32s", False),
        ("fcn16s", False),
        ("fcn8s", False),
        ("dilatednet_frontend", False),
        ("dilatednet_context", False),
        ("dilatednet_context7", False),
        ("fcn8s_lite", True),
        ("dilatednet_lite", True),
        ("unet_lite", True),
    ],
)
def test_bilinear_upsamplings_that_the_releases_fix_do_not_learn(name: str, learns: bool) -> None:
    network = narrow(name)
    fixed = [n for n, p in network.named_parameters() if not p.requires_grad]
    upsamplings = [
        n for n, _ in network.named_parameters() if n.startswith(("upsampling.", "skip_u"))
    ]
    assert upsamplings
    assert fixed == ([] if learns else upsamplings)


def test_fcn_starts_with_scores_of_zero() -> None:
    network = build_fcn(CAMVID, 8, 1 / 16).eval()
    with torch.no_grad():
        assert not network(torch.randn(1, 3, 64, 64)).any()


@pytest.mark.parametrize("name", ["deconvnet", "deconvnet_lite"])
def test_deconvnet_has_no_dropout(name: str) -> None:
    assert not any(isinstance(layer, nn.Dropout) for layer in narrow(name).modules())


@pytest.mark.parametrize("name", ["pspnet_resnet50", "pspnet_resnet101", "deeplab_v2_resnet101"])
def test_the_releases_dilate_every_block_of_the_last_two_stages(name: str) -> None:
    stages = dilations(narrow(name).encoder)
    assert [set(stage) for stage in stages] == [{1}, {1}, {2}, {4}]


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplab_v3_resnet50"])
def test_torchvisions_networks_keep_the_first_block_at_the_dilation_before(name: str) -> None:
    spec = model_spec(name)
    stride = {} if spec.output_stride == 8 else {"output_stride": 8}
    network = build_model(replace(spec, variant={**spec.variant, **stride, "width": 1 / 16}))
    assert dilations(network.encoder)[2:] == [[1, 2, 2, 2, 2, 2], [2, 4, 4]]


def test_dilating_the_first_block_changes_no_tensor() -> None:
    first, usual = ResNet(50, 8, 1 / 16, dilate_first=True), ResNet(50, 8, 1 / 16)
    first.load_state_dict(usual.state_dict())


@pytest.mark.parametrize(("stride", "rates"), [(16, [2, 4, 8]), (8, [4, 8, 16])])
def test_multi_grid_is_an_option_of_deeplab_v3(stride: int, rates: list[int]) -> None:
    """Section 3.2: the rate of the stage times 1, 2 and 4."""
    grid = build_deeplab_v3_resnet(CAMVID, 50, stride, 1 / 16, multi_grid=(1, 2, 4))
    usual = build_deeplab_v3_resnet(CAMVID, 50, stride, 1 / 16)
    assert dilations(grid.encoder)[3] == rates
    assert dilations(grid.encoder)[:3] == dilations(usual.encoder)[:3]
    grid.load_state_dict(usual.state_dict())


def test_segnet_basics_decoder_has_no_bias_as_the_paper_says() -> None:
    network = narrow("segnet_basic", 1.0)
    assert isinstance(network, SegNetBasic)
    assert {stage.conv.bias for stage in network.decoder} == {None}


def test_a_pyramid_level_has_a_quarter_of_the_channels_not_one() -> None:
    pyramid = PyramidPooling(64)
    assert [level.conv.out_channels for level in pyramid.levels] == [64 // len(BINS)] * 4


def test_a_projection_of_concatenated_branches_is_a_sum_of_projections() -> None:
    """DeepLab v3 concatenates where v2 sums; the 1x1 convolution after it sums again."""
    torch.manual_seed(0)
    aspp, x = ASPP(8, 4, (1, 2, 3)).eval(), torch.randn(1, 8, 9, 9)
    kernel = aspp.project[0].weight
    with torch.no_grad():
        parts = [branch(x) for branch in aspp.convs]
        summed = sum(
            torch.conv2d(part, kernel[:, 4 * i : 4 * i + 4]) for i, part in enumerate(parts)
        )
        whole = aspp.project[0](torch.cat(parts, 1))
    assert torch.allclose(whole, summed, atol=1e-5)


def test_the_papers_figures_that_are_not_in_the_paper_are_not_given() -> None:
    assert model_spec("unet").paper.parameters is None
    assert "60.1" in model_spec("segnet").paper.camvid_note
    assert model_spec("segnet").paper.camvid_test_miou == 0.464
    assert model_spec("segnet_lite").paper.camvid_note == ""


def test_class_sets_that_need_no_file() -> None:
    assert {name: len(classes) for name, classes in BUILT_IN.items()} == {
        "camvid": 11,
        "cityscapes": 19,
        "voc": 21,
    }
    assert CITYSCAPES.names[10:14] == ("sky", "person", "rider", "car")
    assert CITYSCAPES.palette[13] == (0, 0, 142)
    assert (VOC.names[7], VOC.palette[7]) == ("car", (128, 128, 128))
    assert (VOC.names[15], VOC.palette[15]) == ("person", (192, 128, 128))
    assert VOC.palette[:3] == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    for classes in BUILT_IN.values():
        assert len(set(classes.palette)) == len(set(classes.names)) == len(classes)


@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if spec.earlier_stage])
def test_an_earlier_stage_has_the_same_encoder(name: str) -> None:
    spec = MODELS[name]
    assert spec.earlier_stage is not None
    assert MODELS[spec.earlier_stage].encoder == spec.encoder
