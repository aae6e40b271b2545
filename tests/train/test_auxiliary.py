"""PSPNet's second loss: it trains the encoder, and leaves no trace in the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from models.pspnet import PSPNet
from models.registry import build_model, model_spec
from pipeline.train.auxiliary import deep_supervision
from pipeline.train.recipe import RECIPES, Recipe
from pipeline.train.trainer import RunSettings, Trainer

SPEC = replace(model_spec("pspnet_resnet50"), variant={"depth": 50, "width": 1 / 16})
TINY = Recipe(steps=4, batch=2, crop=(64, 64), auxiliary=0.4, validate_every=1000)


def network() -> PSPNet:
    torch.manual_seed(0)
    built = build_model(SPEC)
    assert isinstance(built, PSPNet)
    return built


def trainer(folder: Path, recipe: Recipe = TINY) -> Trainer:
    return Trainer(SPEC, network(), recipe, RunSettings(folder), torch.ones(11))


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randint(0, 256, (2, 64, 64, 3)).byte(), torch.randint(0, 11, (2, 64, 64))


def test_its_gradient_reaches_the_stages_before_it_and_no_later_one() -> None:
    pspnet = network()
    second = deep_supervision(pspnet, 11, 0.4)
    assert second is not None
    pspnet(torch.randn(2, 3, 64, 64))
    logits = second((64, 64))
    assert logits.shape == (2, 11, 64, 64)
    logits.square().mean().backward()
    touched = {name.split(".")[1] for name, p in pspnet.named_parameters() if p.grad is not None}
    assert touched == {"conv1", "bn1", "layer1", "layer2", "layer3"}


def test_both_heads_learn_and_only_the_network_is_averaged(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    assert run.auxiliary is not None
    before = [p.clone() for p in run.auxiliary.parameters()]
    run._step(*batch())
    changed = [
        not torch.equal(a, b) for a, b in zip(before, run.auxiliary.parameters(), strict=True)
    ]
    assert all(changed)
    assert set(run.average.state_dict()) == set(network().state_dict())


def test_the_second_loss_is_added_with_its_weight(tmp_path: Path) -> None:
    with_it = trainer(tmp_path)._step(*batch())
    without = trainer(tmp_path, replace(TINY, auxiliary=0.0))._step(*batch())
    assert with_it > without


def test_a_resumed_run_has_the_second_head_that_was_saved(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run._step(*batch())
    run.save()
    resumed = trainer(tmp_path)
    resumed.resume()
    assert run.auxiliary is not None
    assert resumed.auxiliary is not None
    pairs = zip(run.auxiliary.parameters(), resumed.auxiliary.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_networks_without_a_place_for_it_and_recipes_without_weight_have_none() -> None:
    assert deep_supervision(network(), 11, 0.0) is None
    assert deep_supervision(build_model(model_spec("segnet_lite")), 11, 0.4) is None
    assert RECIPES["pspnet_resnet50"].auxiliary == 0.4
