"""DDRNet-23-slim: the exchange between its branches, and the weights of its authors' release."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.classes import CAMVID, ClassSet
from models.ddrnet import DDRNet, build_ddrnet23_slim, load_ddrnet23_slim
from models.errors import WeightsError
from models.pretrained import PUBLISHED, encoder_state, load_encoder
from models.registry import build_model, model_spec

CITYSCAPES = ClassSet(tuple(f"class {i}" for i in range(19)), ((0, 0, 0),) * 19)


def release() -> dict[str, Tensor]:
    """A state dict in the release's layout: a training module around the network, 19 classes."""
    torch.manual_seed(0)
    network = build_ddrnet23_slim(CITYSCAPES)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.1, 0.2)
    state = {f"model.{k.removeprefix('encoder.')}": v for k, v in network.state_dict().items()}
    extra = {
        key.replace("final_layer", "seghead_extra"): value
        for key, value in state.items()
        if ".final_layer." in key
    }
    return {**state, **extra, "loss.criterion.weight": torch.ones(19)}


def outputs(network: nn.Module, names: tuple[str, ...], x: Tensor) -> dict[str, Tensor]:
    """Return the outputs of the named modules for ``x``."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, inputs, output: found.__setitem__(name, output.clone())

    for name in names:
        network.get_submodule(name).register_forward_hook(keep(name))
    with torch.no_grad():
        found["result"] = network(x)
    return found


def test_the_keys_are_those_of_the_release() -> None:
    with torch.device("meta"):
        names = set(build_ddrnet23_slim(CAMVID).state_dict())
    for name in (
        "encoder.conv1.0.bias",
        "encoder.conv1.3.weight",
        "encoder.conv1.4.running_var",
        "encoder.layer1.1.bn2.weight",
        "encoder.layer3.0.downsample.1.bias",
        "encoder.layer5.0.conv3.weight",
        "encoder.layer5_.0.downsample.0.weight",
        "encoder.compression4.1.weight",
        "encoder.down4.3.weight",
        "encoder.down4.4.running_mean",
        "encoder.spp.scale0.2.weight",
        "encoder.spp.scale3.3.weight",
        "encoder.spp.scale4.1.running_mean",
        "encoder.spp.process4.2.weight",
        "encoder.spp.compression.2.weight",
        "encoder.spp.shortcut.0.bias",
        "final_layer.bn1.weight",
        "final_layer.conv2.bias",
    ):
        assert name in names
    assert not [name for name in names if name.startswith("encoder.layer1.0.downsample")]


def test_the_weights_of_the_release_fill_all_but_the_scores() -> None:
    spec, state = model_spec("ddrnet23_slim"), release()
    network = build_model(spec)
    before = {name: value.clone() for name, value in network.final_layer.state_dict().items()}
    load_encoder(network, spec, state)
    for name, value in network.encoder.state_dict().items():
        assert torch.equal(value, state[f"model.{name}"])
    for name, value in network.final_layer.state_dict().items():
        taken = not name.startswith("conv2.")
        assert torch.equal(value, state[f"model.final_layer.{name}"] if taken else before[name])


def test_weights_that_do_not_fit_are_one_line() -> None:
    network, state = build_ddrnet23_slim(CAMVID), release()
    for change, what in [
        ({"model.layer4_.1.bn2.bias": None}, r"nothing for layer4_\.1\.bn2\.bias"),
        (
            {"model.spp.scale5.0.weight": torch.zeros(1)},
            r"scale5\.0\.weight, expected nothing",
        ),
        ({"model.conv1.0.weight": torch.zeros(1)}, "shape .* for conv1"),
    ]:
        changed = {k: v for k, v in {**state, **change}.items() if v is not None}
        with pytest.raises(WeightsError, match=what):
            load_ddrnet23_slim(network, changed)


def test_weights_without_a_fixed_address_are_asked_for_as_a_file() -> None:
    with pytest.raises(WeightsError, match=r"no fixed address is known .* pass it instead of"):
        encoder_state("ddrnet23_slim", PUBLISHED)


def test_the_branches_work_at_stride_8_and_down_to_64() -> None:
    network = DDRNet(11, width=1 / 8).eval()
    fine = ("layer2", "layer3_", "layer4_", "layer5_")
    coarse = {"layer3": 16, "layer4": 32, "layer5": 64, "spp": 64}
    found = outputs(
        network, tuple(f"encoder.{n}" for n in (*fine, *coarse)), torch.rand(1, 3, 192, 128)
    )
    assert {tuple(found[f"encoder.{name}"].shape[-2:]) for name in fine} == {(24, 16)}
    for name, stride in coarse.items():
        assert found[f"encoder.{name}"].shape[-2:] == (192 // stride, 128 // stride)


def test_each_branch_reads_the_sum_of_both() -> None:
    network = DDRNet(11, width=1 / 8).eval()
    read: dict[str, Tensor] = {}
    for name in ("layer4", "layer4_", "layer5", "layer5_"):
        network.get_submodule(f"encoder.{name}").register_forward_pre_hook(
            lambda module, inputs, name=name: read.__setitem__(name, inputs[0].clone())
        )
    names = ("layer3", "layer3_", "layer4", "layer4_", "down3", "down4")
    names = (*names, "compression3", "compression4")
    found = outputs(network, tuple(f"encoder.{name}" for name in names), torch.rand(1, 3, 125, 199))
    for number, after in ((3, 4), (4, 5)):
        coarse, fine = found[f"encoder.layer{number}"], found[f"encoder.layer{number}_"]
        reduced = found[f"encoder.compression{number}"]
        enlarged = F.interpolate(reduced, fine.shape[-2:], mode="bilinear", align_corners=False)
        assert torch.equal(read[f"layer{after}"], F.relu(coarse + found[f"encoder.down{number}"]))
        assert torch.equal(read[f"layer{after}_"], F.relu(fine + enlarged))


def test_dappm_refines_each_scale_with_the_one_before() -> None:
    torch.manual_seed(0)
    spp = DDRNet(11, width=1 / 8).eval().encoder.spp
    x = torch.randn(1, 64, 6, 8)
    with torch.no_grad():
        maps = [spp.scale0(x)]
        for number, pooled in enumerate(
            (
                F.avg_pool2d(x, 5, 2, 2),
                F.avg_pool2d(x, 9, 4, 4),
                F.avg_pool2d(x, 17, 8, 8),
                x.mean((2, 3), keepdim=True),
            ),
            1,
        ):
            branch = getattr(spp, f"scale{number}")[1:](pooled)
            resized = F.interpolate(branch, (6, 8), mode="bilinear", align_corners=False)
            maps.append(getattr(spp, f"process{number}")(resized + maps[-1]))
        expected = spp.compression(torch.cat(maps, 1)) + spp.shortcut(x)
        assert torch.allclose(spp(x), expected, atol=1e-5)
