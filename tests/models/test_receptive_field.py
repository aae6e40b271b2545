"""Receptive fields: compared with arithmetic by hand, and with where gradients really arrive."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.errors import ModelError
from models.receptive_field import POSITIONS, ReceptiveField, receptive_field
from models.segnet import SegNet
from models.unpooling import MaxPoolPhases, MaxUnpoolPhases, Pooled
from models.vgg import STAGES


class Function(nn.Module):
    """A function as a network."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def conv(kernel: int, stride: int = 1, padding: int | str = 0, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(3, 3, kernel, stride, padding, dilation)


def field_of(*layers: nn.Module, height: int = 96, width: int = 128) -> ReceptiveField:
    return receptive_field(nn.Sequential(*layers), height, width)


# --- By hand: largest side over 32 neighbouring outputs -----------------------------------------


@pytest.mark.parametrize(
    ("layers", "side"),
    [
        ([conv(1)], 1),
        ([conv(3), conv(3)], 5),
        ([conv(3, padding=1), conv(3, padding=1)], 5),  # padding only moves the field
        ([conv(3, padding="same", dilation=3)], 7),
        ([conv(3, padding="valid")], 3),
        ([conv(3, stride=2), conv(3)], 7),
        ([conv(3, dilation=4)], 9),
        ([conv(3), conv(3, dilation=2), conv(3, dilation=4)], 15),
        ([nn.MaxPool2d(2), conv(3)], 6),
        ([nn.MaxPool2d(2, ceil_mode=True), conv(3)], 6),
        ([nn.MaxPool2d(3, 2, 1), conv(3)], 7),
        ([nn.MaxPool2d(3, 1, 1, dilation=2)], 5),
        ([nn.AvgPool2d(3, 2, 1), conv(3)], 7),
        ([nn.ConvTranspose2d(3, 3, 2, 2)], 1),
        ([nn.ConvTranspose2d(3, 3, 4, 2, 1)], 2),
        ([nn.ConvTranspose2d(3, 3, 3, 2, 1, output_padding=1)], 2),
        ([nn.ConvTranspose2d(3, 3, 16, 8, 4)], 2),
        ([nn.ConvTranspose2d(3, 3, 7)], 7),
        ([conv(2, stride=2), nn.ConvTranspose2d(3, 3, 4, 2, 1)], 4),
        ([nn.Upsample(scale_factor=2)], 1),
        ([nn.Upsample(scale_factor=2), conv(3)], 2),
        ([nn.Upsample(size=(192, 256), mode="bilinear")], 2),
        ([nn.Upsample(scale_factor=2.0, mode="bilinear"), conv(3, padding=1)], 3),
        ([nn.Upsample(size=(48, 64), mode="bilinear")], 2),
        ([nn.Upsample(size=(96, 128), mode="bilinear", align_corners=True)], 1),
        ([nn.Upsample(size=(192, 256), mode="bilinear", align_corners=True)], 2),
        ([nn.BatchNorm2d(3), nn.ReLU6(), nn.Dropout(), nn.Dropout2d(), conv(3)], 3),
    ],
)
def test_the_side_is_that_of_arithmetic_by_hand(layers: list[nn.Module], side: int) -> None:
    field = field_of(*layers)
    assert (field.height, field.width) == (side, side)
    assert not field.global_context


def test_the_box_stands_where_the_central_output_looks() -> None:
    assert field_of(conv(3, padding=1)) == ReceptiveField(3, 3, False, top=47, left=63)
    assert field_of(conv(3)) == ReceptiveField(3, 3, False, top=47, left=63)  # 94x126: 47, 63
    assert field_of(conv(4, stride=4)) == ReceptiveField(4, 4, False, top=48, left=64)
    shifted = field_of(nn.ZeroPad2d((5, 0, 7, 0)))  # 103x133: output 51, 66
    assert (shifted.top, shifted.left) == (51 - 7, 66 - 5)
    cut = field_of(Function(lambda x: F.pad(x, (-4, 0, -10, 0))))  # 86x124: output 43, 62
    assert (cut.top, cut.left) == (43 + 10, 62 + 4)
    sliced = field_of(Function(lambda x: x[:, :, 10:-6:2, -101:]))  # 40x101: output 20, 50
    assert (sliced.top, sliced.left) == (10 + 2 * 20, 27 + 50)


def test_the_field_of_a_pixel_near_the_border_leaves_the_picture() -> None:
    field = receptive_field(conv(33, padding=16), 8, 20)
    assert field == ReceptiveField(33, 33, False, top=4 - 16, left=10 - 16)


def test_rows_and_columns_are_counted_apart() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 3, (1, 5), dilation=(1, 2)), nn.MaxPool2d((2, 1)), nn.Conv2d(3, 3, (3, 1))
    )
    field = receptive_field(network, 64, 64)
    assert (field.height, field.width) == (6, 9)
    # Rows: a third, each at the middle one of three; columns: a quarter, each between two.
    third = field_of(nn.Upsample(size=(32, 32), mode="bilinear"), height=96, width=128)
    assert (third.height, third.width) == (1, 2)


def test_paths_are_joined_and_the_longest_counts() -> None:
    wide = conv(3, padding=5, dilation=5)
    both = Function(lambda x: torch.cat([x, x + wide(x)], 1))
    assert field_of(both).height == 11
    aside = Function(lambda x: torch.cat([x[:, :1], F.pad(x, (0, 0, 9, -9))], 1))
    assert (field_of(aside).height, field_of(aside).width) == (10, 1)


def test_what_does_not_depend_on_the_picture_widens_nothing() -> None:
    fixed = Function(lambda x: x + torch.arange(96.0).flip(0)[:, None])
    assert field_of(conv(3, padding=1), fixed).height == 3


@pytest.mark.parametrize(
    "pool",
    [
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveAvgPool2d(6),
        Function(lambda x: x.mean((2, 3), keepdim=True)),
        Function(lambda x: torch.ones(6, 96) @ x @ torch.ones(128, 6)),
    ],
)
def test_pooling_of_the_whole_picture_is_context_and_no_field(pool: nn.Module) -> None:
    local = conv(5, padding=2)

    def forward(x: Tensor) -> Tensor:
        spread = F.interpolate(pool(x), x.shape[-2:], mode="bilinear", align_corners=False)
        return torch.cat([local(x), spread], 1)

    assert field_of(Function(forward)) == ReceptiveField(5, 5, True, top=46, left=62)


def test_a_mean_over_channels_is_no_context() -> None:
    field = field_of(conv(3), Function(lambda x: x.mean(1, keepdim=True)))
    assert (field.height, field.global_context) == (3, False)


def test_one_value_that_is_spread_over_the_map_is_context() -> None:
    pool = nn.AdaptiveAvgPool2d(1)
    field = field_of(Function(lambda x: x * pool(x).expand(-1, -1, 96, 128).sigmoid() * pool(x)))
    assert field == ReceptiveField(1, 1, True, top=48, left=64)


@pytest.mark.parametrize(
    ("network", "operator"),
    [
        (
            Function(lambda x: F.interpolate(x, scale_factor=2, mode="bicubic")),
            "upsample_bicubic2d",
        ),
        (Function(lambda x: x.flip(2)), "flip"),
        (Function(lambda x: F.pad(x, (1, 1, 1, 1), "reflect")), "pad"),
        (Function(lambda x: torch.cat([x, x], 2)), "cat"),
        (nn.ConvTranspose2d(3, 3, 2, 3), "conv_transpose2d"),
        (nn.ConvTranspose2d(3, 3, 3, dilation=2), "conv_transpose2d"),
    ],
)
def test_an_operator_without_a_rule_is_named_and_never_guessed(
    network: nn.Module, operator: str
) -> None:
    with pytest.raises(ModelError, match=rf"aten\.{operator}.*models/receptive_rules\.py"):
        receptive_field(network, 64, 64)


# --- Figures of papers ---------------------------------------------------------------------------


def vgg16_through_pool5() -> list[nn.Module]:
    layers: list[nn.Module] = []
    for convolutions, _ in STAGES:
        layers += [conv(3, padding=1) for _ in range(convolutions)]
        layers.append(nn.MaxPool2d(2))
    return layers


def test_vgg16_sees_212_pixels_through_pool5_and_404_through_fc6() -> None:
    assert field_of(*vgg16_through_pool5(), height=512, width=512).height == 212
    assert field_of(*vgg16_through_pool5(), conv(7), height=512, width=512).height == 404


# --- Against the truth: where the gradient of one output arrives ---------------------------------


class AveragePhases(nn.Module):
    """Pooling in which every element of a window counts; an arg-max would hide three of four."""

    def forward(self, x: Tensor) -> Pooled:
        pooled = F.avg_pool2d(x, 2)
        return Pooled(pooled, pooled, (x.shape[-2], x.shape[-1]))


class SpreadPhases(nn.Module):
    """Unpooling that leaves no position empty."""

    def forward(self, x: Tensor, pooled: Pooled) -> Tensor:
        height, width = pooled.size
        spread = F.interpolate(x, scale_factor=2)
        return F.pad(spread, (0, width - spread.shape[-1], 0, height - spread.shape[-2]))


STAND_INS: dict[type[nn.Module], Callable[[nn.Module], nn.Module]] = {
    nn.ReLU: lambda old: nn.Identity(),
    nn.MaxPool2d: lambda old: nn.AvgPool2d(old.kernel_size, old.stride, old.padding),
    MaxPoolPhases: lambda old: AveragePhases(),
    MaxUnpoolPhases: lambda old: SpreadPhases(),
}


def made_linear(network: nn.Module) -> nn.Module:
    """Replace everything non-linear, and make all weights positive: no two paths can cancel."""
    for name, child in network.named_children():
        if type(child) in STAND_INS:
            setattr(network, name, STAND_INS[type(child)](child))
        else:
            made_linear(child)
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1 / max(1, parameter[0].numel()))
    return network.double().eval()


def gradient_field(network: nn.Module, height: int, width: int) -> ReceptiveField:
    """Measure the field: non-zero rows and columns of the gradient, one output after another."""
    x = torch.zeros(1, 3, height, width, dtype=torch.double, requires_grad=True)
    maps = network(x).sum((0, 1))
    sides, corner = [(0, 0)], (0, 0)
    for i in range(-POSITIONS // 2, POSITIONS // 2):
        place = (maps.shape[0] // 2 + i, maps.shape[1] // 2 + i)
        (gradient,) = torch.autograd.grad(maps[place], x, retain_graph=True)
        rows, columns = (gradient.amax((0, 1)).amax(axis).nonzero()[:, 0] for axis in (1, 0))
        sides.append((int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1))
        if i == 0:
            corner = (int(rows[0]), int(columns[0]))
    tallest, widest = (max(side) for side in zip(*sides, strict=True))
    return ReceptiveField(tallest, widest, False, *corner)


def resized(size: tuple[int, int], align: bool) -> nn.Module:
    return nn.Upsample(size=size, mode="bilinear", align_corners=align)


@pytest.mark.parametrize(
    "layers",
    [
        [conv(3, padding=1), nn.MaxPool2d(2), conv(3, 2, 1), nn.ConvTranspose2d(3, 3, 4, 2, 1)],
        [conv(3, 2, 1), conv(3, 1, 2, 2), nn.MaxPool2d(3, 2, 1), resized((120, 160), False)],
        [conv(7, 2, 3), conv(3, 2, 1), resized((121, 157), True), conv(3)],
        [nn.MaxPool2d(2), nn.AvgPool2d(3, 1, 1), resized((97, 143), False), nn.MaxPool2d(2)],
        [nn.MaxPool2d(4), nn.ConvTranspose2d(3, 3, 3, 2), nn.ConvTranspose2d(3, 3, 5, 3, 1)],
        [nn.MaxPool2d(4), nn.Upsample(scale_factor=2.5), conv(3), nn.Upsample(scale_factor=1.5)],
        [conv(3, 2), resized((29, 31), False), resized((90, 70), False)],
    ],
)
def test_the_field_is_where_gradients_arrive(layers: list[nn.Module]) -> None:
    network = made_linear(nn.Sequential(*layers))
    assert receptive_field(network, 120, 160) == gradient_field(network, 120, 160)


@pytest.mark.parametrize("size", [(46, 61), (64, 80)])
def test_unpooling_sees_its_window_and_the_value_it_spreads(size: tuple[int, int]) -> None:
    class Unpooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool, self.conv, self.unpool = MaxPoolPhases(), conv(3, 1, 1), MaxUnpoolPhases()

        def forward(self, x: Tensor) -> Tensor:
            pooled = self.pool(x)
            return self.unpool(self.conv(pooled.values), pooled)

    field = receptive_field(Unpooled(), *size)
    assert (field.height, field.width) == (6, 6)
    assert field == gradient_field(made_linear(Unpooled()), *size)


def test_other_reshapes_are_refused_by_name() -> None:
    class Turned(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(1, 3, 40, 30)

    with pytest.raises(ModelError, match=r"aten.reshape.*makes \[1, 3, 40, 30\] of"):
        receptive_field(Turned(), 30, 40)


def test_segnet_sees_what_its_gradients_say() -> None:
    network = SegNet(classes=1, width=1 / 64)
    field = receptive_field(network, 520, 32)  # narrow: a whole picture would take a minute
    truth = gradient_field(made_linear(network), 520, 32)
    assert (field.height, field.top) == (truth.height, truth.top)
