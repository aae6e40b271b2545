"""Transposed convolutions of stride 1 become plain ones that compute the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.registry import build_model, model_spec
from pipeline.graph.transposed import with_plain_convolutions


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(6, 4, 3, padding=1),
        nn.ConvTranspose2d(6, 4, 7),
        nn.ConvTranspose2d(6, 4, (3, 5), padding=(0, 4), bias=False),
        nn.ConvTranspose2d(6, 4, 1),
    ],
    ids=["3x3", "7x7 that enlarges", "uneven, no bias", "1x1"],
)
def test_a_plain_convolution_computes_the_same(layer: nn.ConvTranspose2d) -> None:
    x = torch.randn(2, 6, 9, 11)
    plain = with_plain_convolutions(layer)
    assert type(plain) is nn.Conv2d
    torch.testing.assert_close(plain(x), layer(x), rtol=1e-5, atol=1e-5)


class Scaled(nn.ConvTranspose2d):
    """Computes something of its own."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Twice the transposed convolution."""
        return 2 * super().forward(x, output_size)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 4, 2, stride=2),
        nn.ConvTranspose2d(4, 4, 3, groups=2),
        nn.ConvTranspose2d(4, 4, 3, dilation=2),
        nn.ConvTranspose2d(4, 4, 3, padding=3),
        Scaled(4, 4, 3),
    ],
    ids=["stride 2", "groups", "dilation", "cuts into the picture", "subclass"],
)
def test_others_stay_as_they_are(layer: nn.Module) -> None:
    network = nn.Sequential(layer, nn.ReLU())
    assert with_plain_convolutions(network) is network


def test_deconvnet_keeps_its_names_and_its_logits() -> None:
    torch.manual_seed(0)
    spec = model_spec("deconvnet_lite")
    network = build_model(spec).eval()
    plain = with_plain_convolutions(network)
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in plain.modules())
    assert any(isinstance(module, nn.ConvTranspose2d) for module in network.modules())
    assert list(plain.state_dict()) == list(network.state_dict())
    x = torch.randn(1, 3, 224, 256)
    with torch.no_grad():
        expected = network(x)
        torch.testing.assert_close(plain(x), expected, rtol=1e-3, atol=1e-3 * expected.std().item())
