"""What individual papers promise about their networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from costs import cost_of
from torch import Tensor, nn

from models.blocks import ConvReLU
from models.classes import CAMVID, ClassSet
from models.deconvnet import DECODER, DeconvNet
from models.deeplab_v3 import build_deeplab_v3_resnet
from models.dilatednet import ContextModule
from models.efficientnet_lite import (
    LITE2_STAGES,
    STAGES,
    EfficientNetLite0,
    EfficientNetLite2,
    SameConv2d,
)
from models.fcn import build_fcn, build_fcn8s_lite
from models.pooling import adaptive_average_pool, ceil_max_pool
from models.pspnet import PyramidPooling
from models.receptive_field import receptive_field
from models.registry import MODELS, build_model, model_spec
from models.resnet import ResNet
from models.segnet import SegNet, SegNetBasic
from models.spec import ModelSpec
from models.unpooling import MaxPoolPhases, Pooled
from models.upsampling import BilinearUpsampling
from models.vgg import VGG16

SPECS = pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS.keys())


def on_meta(name: str) -> nn.Module:
    """Build at full width without allocating memory."""
    with torch.device("meta"):
        return build_model(model_spec(name)).eval()


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@SPECS
def test_the_spec_tells_parameters_and_multiply_adds_of_the_built_network(spec: ModelSpec) -> None:
    cost = cost_of(spec)
    assert spec.figures.parameters == cost.parameters
    assert spec.figures.gmacs == pytest.approx(cost.gmacs, abs=0.05)


@SPECS
def test_the_spec_tells_the_receptive_field_of_the_built_network(spec: ModelSpec) -> None:
    field = receptive_field(on_meta(spec.name), spec.input.height, spec.input.width)
    assert spec.figures.receptive_field == max(field.height, field.width)
    assert spec.figures.global_context == field.global_context


@SPECS
def test_dropout_drops_single_values_as_caffe_and_lasagne_do(spec: ModelSpec) -> None:
    """Dropping whole channels instead kept DeepLab v1 from learning (docs/experiments.md)."""
    assert not [m for m in on_meta(spec.name).modules() if isinstance(m, nn.Dropout2d)]


@SPECS
def test_the_spec_tells_the_output_stride_of_the_built_network(spec: ModelSpec) -> None:
    side, sides = max(448, 14 * spec.output_stride), set()

    def record(module: nn.Module, inputs: object, output: Tensor | Pooled) -> None:
        sides.add((output.values if isinstance(output, Pooled) else output).shape[-1])

    network = on_meta(spec.name)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, MaxPoolPhases)):
            module.register_forward_hook(record)
    with torch.device("meta"):
        network(torch.empty(1, 3, side, side))
    # Pyramid bins, image pooling and DeconvNet's valid fc6 make maps of fewer than 14 cells.
    assert side // min(side for side in sides if side >= 14) == spec.output_stride


@pytest.mark.parametrize(
    ("name", "short_of"),
    [
        ("fcn32s", 0.01),
        ("deconvnet", 0.002),
        ("segnet", 0.001),
        ("segnet_basic", 0.01),
        ("fc_densenet56", 0.09),  # 1.38 M; other implementations have the same count
        ("fc_densenet67", 0.02),
        ("fc_densenet103", 0.01),
        ("deeplab_v1", 0.001),
        ("ddrnet23_slim", 0.01),
    ],
)
def test_parameters_are_those_that_the_paper_or_its_successors_give(
    name: str, short_of: float
) -> None:
    paper = model_spec(name).paper.parameters
    assert paper is not None
    assert parameters(on_meta(name)) == pytest.approx(1e6 * float(paper.rstrip("M")), rel=short_of)


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (45, 60), (1, 2)])
def test_ceil_pooling_is_pytorchs_ceil_mode_behind_a_relu(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size).relu()
    assert torch.equal(ceil_max_pool(x), F.max_pool2d(x, 2, ceil_mode=True))


@pytest.mark.parametrize("size", [(45, 60), (6, 6), (7, 11), (23, 30), (4, 5)])
@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_adaptive_pooling_is_exact_where_sizes_do_not_divide(
    size: tuple[int, int], bins: int
) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    assert torch.allclose(
        adaptive_average_pool(x, bins), F.adaptive_avg_pool2d(x, bins), rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("factor", [2, 8, 32])
def test_upsampling_starts_as_bilinear_interpolation(factor: int) -> None:
    x = torch.randn(1, 3, 6, 7)
    like = torch.empty(1, 1, 6 * factor, 7 * factor)
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    inside = (..., slice(factor, -factor), slice(factor, -factor))  # the border fades to zero
    with torch.no_grad():
        computed = BilinearUpsampling(3, factor)(x, like)
    assert torch.allclose(computed[inside], expected[inside], atol=1e-5)


@pytest.mark.parametrize(
    ("build", "stage3"),
    [
        (lambda: build_fcn(CAMVID, 8, width=1 / 16), lambda encoder: encoder[2][2].conv.bias),
        (
            lambda: build_fcn8s_lite(CAMVID, width=1 / 4),
            lambda encoder: encoder.stages[2][1].project.norm.bias,
        ),
    ],
    ids=["fcn8s", "fcn8s_lite"],
)
def test_the_skips_of_fcn_refine_a_score_that_starts_without_them(
    build: Callable[[], nn.Module], stage3: Callable[[nn.Module], Tensor]
) -> None:
    torch.manual_seed(0)
    network = build().eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for score in (one for one in network.modules() if isinstance(one, nn.Conv2d)):
            if not score.weight.any():  # zero, as the release starts it: make it a trained one
                nn.init.normal_(score.weight, std=0.1)
        before = network(x)
        stage3(network.encoder).add_(1.0)  # the later stages and the skip read it
        encoder_only = network(x)
        network.skip_scores[1].bias += 1.0
        with_skip = network(x)
    assert not torch.allclose(before, encoder_only)
    inside = (..., slice(8, -8), slice(8, -8))
    assert torch.allclose(with_skip[inside], encoder_only[inside] + 1.0, atol=1e-4)


@pytest.mark.parametrize("name", ["fcn32s", "dilatednet_frontend"])
def test_fc6_and_fc7_are_vgg16s_fully_connected_layers(name: str) -> None:
    network = on_meta(name)
    assert network.fc6.conv.weight.shape == (4096, 512, 7, 7)
    assert network.fc7.conv.weight.shape == (4096, 4096, 1, 1)


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (lambda: SegNet(11, width=1 / 4), (90, 120)),
        (lambda: SegNetBasic(11, channels=4), (45, 61)),
        (lambda: DeconvNet(11, width=1 / 16), (224, 224)),
        (lambda: DeconvNet(11, width=1 / 16), (231, 250)),
    ],
)
def test_unpooling_networks_compute_what_pytorchs_indices_compute(
    build: Callable[[], nn.Module], size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    network = build().eval()
    x = torch.randn(1, 3, *size)
    with torch.no_grad():
        computed = network(x)
        kept = []
        for stage in network.encoder:
            x = stage(x)
            full = x.shape[-2:]
            x, indices = F.max_pool2d(x, 2, return_indices=True)
            kept.append((indices, full))
        if isinstance(network, DeconvNet):
            x = network.deconv_fc6(network.fc7(network.fc6(x)))
        for stage in network.decoder:
            indices, full = kept.pop()
            unpooled = F.max_unpool2d(x, indices, 2, output_size=full)
            # In our memory layout, since the order in which convolutions sum depends on it.
            x = stage(unpooled.contiguous(memory_format=torch.channels_last))
        assert torch.equal(computed, network.classifier(x))


def test_deconvnet_is_the_table_of_its_paper() -> None:
    network = on_meta("deconvnet")
    assert network.fc6.conv.weight.shape == (4096, 512, 7, 7)
    assert network.fc6.conv.padding == (0, 0)
    assert network.deconv_fc6.deconv.weight.shape == (4096, 512, 7, 7)
    widths = [[layer.deconv.out_channels for layer in stage] for stage in network.decoder]
    assert widths == [list(stage) for stage in DECODER]
    kernels = {layer.deconv.kernel_size for stage in network.decoder for layer in stage}
    assert kernels == {(3, 3)}
    lite = on_meta("deconvnet_lite")
    assert lite.fc6.conv.weight.shape == lite.deconv_fc6.deconv.weight.shape == (128, 128, 7, 7)
    narrow = [[layer.deconv.out_channels for layer in stage] for stage in lite.decoder]
    assert narrow == [[channels // 4 for channels in stage] for stage in DECODER]
    with pytest.raises(RuntimeError):  # 223 pixels leave pool5 six rows, fc6 needs seven
        DeconvNet(11, width=1 / 16).eval()(torch.zeros(1, 3, 223, 224))


def test_segnet_basic_has_no_relu_and_no_bias_in_its_decoder() -> None:
    decoder = on_meta("segnet_basic").decoder
    assert not [m for m in decoder.modules() if isinstance(m, nn.ReLU)]
    assert {m.bias for m in decoder.modules() if isinstance(m, nn.Conv2d)} == {None}


def test_fc_densenet103_has_the_feature_maps_of_table_2() -> None:
    network = on_meta("fc_densenet103")
    outputs = [
        [block[-1].conv.out_channels + block[-1].norm.num_features for block in blocks]
        for blocks in (network.encoder, [network.bottom], network.decoder)
    ]
    # The paper prints 578 for the seventh block; its own rule gives 576.
    assert outputs == [[112, 192, 304, 464, 656], [896], [1088, 816, 576, 384, 256]]


def test_only_what_a_dense_block_adds_is_upsampled() -> None:
    network = on_meta("fc_densenet103")
    assert [up.in_channels for up in network.up] == [16 * n for n in (15, 12, 10, 7, 5)]


def test_deeplab_v1_keeps_stride_8_with_dilation_and_one_wide_fc6() -> None:
    network = on_meta("deeplab_v1")
    assert [(pool.kernel, pool.stride) for pool in network.encoder.pools] == [
        (3, 2),
        (3, 2),
        (3, 2),
        (3, 1),
        (3, 1),
    ]
    assert {layer.conv.dilation for layer in network.encoder[4]} == {(2, 2)}
    assert network.fc6.conv.weight.shape == (1024, 512, 3, 3)
    assert network.fc6.conv.dilation == (12, 12)
    lite = on_meta("deeplab_v1_lite")
    assert lite.fc6.conv.weight.shape == (256, 112, 3, 3)
    assert lite.fc6.conv.dilation == (12, 12)
    assert (lite.pool.kernel_size, lite.pool.stride) == (3, 1)


def test_deeplab_v2_sums_the_scores_of_four_rates() -> None:
    vgg = on_meta("deeplab_v2_vgg16")
    assert [branch[0].conv.dilation[0] for branch in vgg.branches] == [6, 12, 18, 24]
    for name in ("deeplab_v2_resnet101", "deeplab_v2_lite"):
        branches = on_meta(name).branches
        assert [branch.dilation[0] for branch in branches] == [6, 12, 18, 24]
        assert {branch.out_channels for branch in branches} == {11}


def test_dilatednet_lite_has_the_front_end_and_the_context_of_its_paper() -> None:
    network, paper = on_meta("dilatednet_lite"), on_meta("dilatednet_context7")
    assert network.fc6.conv.weight.shape == (128, 112, 7, 7)
    assert network.fc6.conv.dilation == paper.fc6.conv.dilation == (4, 4)
    assert str(network.context) == str(paper.context)


def test_the_context_module_starts_as_the_identity() -> None:
    module = ContextModule(11, (1, 1, 2, 4, 8, 16, 1))
    x = torch.randn(1, 11, 20, 20).relu()
    assert torch.equal(module(x), x)


@pytest.mark.parametrize(
    ("dilations", "field"), [((1, 1, 2, 4, 8, 16, 1), 67), ((1, 1, 2, 4, 8, 1), 35)]
)
def test_the_context_module_sees_what_table_1_says(dilations: tuple[int, ...], field: int) -> None:
    class OnPictures(nn.Sequential):
        """The module after a layer with a picture's channels."""

    module = OnPictures(nn.Conv2d(3, 11, 1), ContextModule(11, dilations)).eval()
    assert receptive_field(module, 90, 90).height == field


def test_fcn8s_lite_scores_the_maps_of_strides_8_16_and_32() -> None:
    network = on_meta("fcn8s_lite")
    assert [skip.in_channels for skip in network.skip_scores] == [112, 40]
    assert network.fc6.conv.in_channels == 320
    with torch.device("meta"):
        sizes = [m.shape[-1] for m in network.encoder(torch.empty(1, 3, 64, 480))[-3:]]
    assert sizes == [60, 30, 15]


def test_unet_lite_joins_a_map_of_each_stride_on_the_way_up() -> None:
    network = on_meta("unet_lite")
    joined = [level[0].conv.in_channels for level in network.decoder]
    assert joined == [112 + 128, 40 + 64, 24 + 48, 16 + 32]
    ups = [(up.in_channels, up.out_channels, up.stride) for up in network.upsamplings]
    assert ups == [(i, o, (2, 2)) for i, o in ((320, 128), (128, 64), (64, 48), (48, 32))]


def test_pyramid_pooling_adds_a_quarter_of_the_channels_per_level() -> None:
    pyramid = on_meta("pspnet_resnet50").pyramid
    assert isinstance(pyramid, PyramidPooling)
    assert [level.conv.weight.shape for level in pyramid.levels] == [(512, 2048, 1, 1)] * 4
    cut = on_meta("pspnet_cut5").pyramid
    assert [level.conv.weight.shape for level in cut.levels] == [(28, 112, 1, 1)] * 4


@pytest.mark.parametrize(("depth", "count"), [(50, 23_508_032), (101, 42_500_160)])
def test_resnets_hold_torchvisions_tensors_without_the_classifier(depth: int, count: int) -> None:
    with torch.device("meta"):
        network = ResNet(depth)
    # torchvision's resnet50 has 25 557 032 parameters, 2 049 000 of them in fc; 101 likewise.
    assert parameters(network) == count
    names = set(network.state_dict())
    assert {"conv1.weight", "bn1.running_var", "layer1.0.downsample.1.bias"} <= names
    assert {"layer4.2.conv3.weight", "layer3.0.bn2.num_batches_tracked"} <= names
    assert not [name for name in names if name.startswith("fc")]


@pytest.mark.parametrize(("depth", "count"), [(50, 39_638_869), (101, 58_630_997)])
def test_deeplab_v3_holds_torchvisions_tensors_without_the_auxiliary_head(
    depth: int, count: int
) -> None:
    # torchvision's deeplabv3_resnet50 has 42 004 074 parameters at 21 classes, its auxiliary
    # head 2 365 205 of them; resnet101's 60 996 202 include the same number.
    classes = ClassSet(tuple(f"class {i}" for i in range(21)), ((0, 0, 0),) * 21)
    with torch.device("meta"):
        network = build_deeplab_v3_resnet(classes, depth)
    assert parameters(network) == count
    names = set(network.state_dict())
    assert {"encoder.layer1.0.conv1.weight", "head.0.convs.4.1.weight"} <= names
    assert {"head.0.convs.1.0.weight", "head.0.project.1.bias", "head.4.bias"} <= names


def test_a_dilated_resnet_computes_at_stride_8_what_the_strided_one_computes_there() -> None:
    torch.manual_seed(0)
    strided, dilated = ResNet(50, 32, 1 / 16).eval(), ResNet(50, 8, 1 / 16).eval()
    dilated.load_state_dict(strided.state_dict())
    x = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        coarse, fine = strided(x).last, dilated(x).last
    assert fine.shape[-1] == 9
    # Far from the border, where padding affects the two differently.
    assert torch.allclose(coarse[..., 1, 1], fine[..., 4, 4], atol=1e-4)


@pytest.mark.parametrize("size", [8, 9, 15])
@pytest.mark.parametrize("kernel", [3, 5])
def test_same_padding_puts_the_odd_pixel_on_the_right(size: int, kernel: int) -> None:
    convolution = SameConv2d(1, 1, kernel, 2, bias=False)
    x = torch.randn(1, 1, size, size)
    total = max(0, (-(-size // 2) - 1) * 2 + kernel - size)
    before, after = total // 2, total - total // 2
    expected = F.conv2d(F.pad(x, (before, after, before, after)), convolution.weight, stride=2)
    assert torch.allclose(convolution(x), expected)
    assert expected.shape[-1] == -(-size // 2)


def test_efficientnet_lite0_hands_on_a_map_of_each_stride_and_its_last() -> None:
    for stride in (32, 16, 8):
        network = EfficientNetLite0(output_stride=stride).eval()
        with torch.no_grad():
            maps = network(torch.randn(1, 3, 64, 96))
        assert [m.shape[1] for m in maps] == list(network.channels)
        assert [m.shape[-1] for m in maps] == [48, 24, 12, 96 // min(stride, 16), 96 // stride]


def test_efficientnet_lite2_is_deeper_and_wider_as_the_scaling_rule_says() -> None:
    for small, large in zip(STAGES, LITE2_STAGES, strict=True):
        scaled = 1.1 * small.channels
        rounded = int(scaled + 4) // 8 * 8  # to a multiple of eight, down by at most a tenth
        assert large.channels == (rounded if rounded >= 0.9 * scaled else rounded + 8)
        fixed = small in (STAGES[0], STAGES[-1])
        assert large.blocks == (small.blocks if fixed else math.ceil(1.2 * small.blocks))
        assert large[1:4] == small[1:4]
    network = EfficientNetLite2(output_stride=16).eval()
    with torch.no_grad():
        maps = network(torch.randn(1, 3, 64, 96))
    assert [m.shape[1] for m in maps] == list(network.channels) == [16, 24, 48, 120, 352]
    assert [m.shape[-1] for m in maps] == [48, 24, 12, 6, 6]


def test_efficientnet_lite0_cut_after_a_stage_computes_what_the_whole_one_has_there() -> None:
    whole, cut = EfficientNetLite0(8).eval(), EfficientNetLite0(8, stages=5).eval()
    there = []
    whole.stages[4].register_forward_hook(lambda module, inputs, output: there.append(output))
    cut.load_state_dict({name: whole.state_dict()[name] for name in cut.state_dict()})
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps, _ = cut(x), whole(x)
    assert torch.equal(maps.last, there[0])
    assert [m.shape[1] for m in maps] == list(cut.channels) == [16, 24, 40, 112, 112]
    assert whole.channels.last == 320  # each has its own


def test_one_vgg_serves_all_poolings_as_data() -> None:
    x = torch.randn(1, 3, 45, 61)
    with torch.no_grad():
        sizes = [tuple(m.shape[-2:]) for m in VGG16(width=1 / 16)(x)]
    assert sizes == [(23, 31), (12, 16), (6, 8), (3, 4), (2, 2)]  # rounded up, as in Caffe
    assert isinstance(VGG16(width=1 / 16)[0][0], ConvReLU)


@pytest.mark.parametrize("name", ["deeplab_v3_resnet50", "deeplab_v3_lite"])
def test_deeplab_v3_at_stride_8_takes_the_weights_of_stride_16(name: str) -> None:
    spec = model_spec(name)
    assert {spec.output_stride, *spec.output_strides} == {8, 16}
    variant = {**spec.variant, "width": 1 / 16}
    at16 = build_model(replace(spec, variant={**variant, "output_stride": 16})).eval()
    at8 = build_model(replace(spec, variant={**variant, "output_stride": 8})).eval()
    at8.load_state_dict(at16.state_dict())
    assert at8.encoder(torch.randn(1, 3, 64, 64)).last.shape[-1] == 8
    assert [branch[0].dilation[0] for branch in list(at8.head[0].convs)[1:4]] == [12, 24, 36]
