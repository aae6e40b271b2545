"""Every network's recipe: it exists, it fits into memory, and with it the loss falls."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from calibration.scenes.dataset import Sample
from models.registry import MODELS, build_model
from models.small_networks import SMALL
from pipeline.cli.parser import parse_arguments
from pipeline.cli.train import _recipe
from pipeline.errors import TrainingError
from pipeline.train import recipe as recipes
from pipeline.train.augment import Augmentation
from pipeline.train.batches import Batches
from pipeline.train.recipe import RECIPES, recipe_of
from pipeline.train.run import class_weights
from pipeline.train.trainer import RunSettings, Trainer

#: ``ROADSEG_RECIPE_STEPS=300 pytest tests/train/test_recipes.py`` trains longer, and all networks.
_ASKED = os.environ.get("ROADSEG_RECIPE_STEPS")
STEPS = int(_ASKED or "40")

#: Every recipe with every kind of network that has it; other depths take as long again.
KINDS = {(spec.builder, str(RECIPES[name])): name for name, spec in reversed(list(MODELS.items()))}
NAMES = pytest.mark.parametrize("name", MODELS if _ASKED else sorted(KINDS.values()))

#: Weights, their gradients, the two moments of AdamW, and the average.
COPIES = 5


def test_a_network_without_a_recipe_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(recipe_of(name) is RECIPES[name] for name in MODELS)
    monkeypatch.setattr(recipes, "RECIPES", {})
    options = parse_arguments(["train", "segnet", "--data", "camvid"])
    with pytest.raises(TrainingError, match="no recipe is known for segnet, expected a row"):
        _recipe(options, MODELS["segnet"])


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name] not in SMALL])
def test_training_at_full_width_fits_into_16_gb(name: str) -> None:
    """Measured: 5.8 GB at most, for deconvnet. Our small forms have even narrower layers."""
    recipe = RECIPES[name]
    with torch.device("meta"):
        network = build_model(MODELS[name]).train()
        kept = kept_for_backward(network, torch.empty(recipe.batch, 3, *recipe.crop))
    weights = sum(4 * parameter.numel() for parameter in network.parameters())
    assert kept + COPIES * weights < 16e9


def kept_for_backward(network: nn.Module, x: Tensor) -> int:
    """Count the bytes of activations that a forward pass keeps for the gradients."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(x)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_what_is_kept_is_counted_once() -> None:
    """An in-place ReLU keeps its output, which the convolution after it also keeps."""
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(inplace=True), nn.Conv2d(8, 2, 1))
    x = torch.empty(2, 3, 10, 10)
    assert kept_for_backward(network, x) == 4 * 2 * (3 + 8) * 100


@pytest.mark.slow
@NAMES
def test_the_loss_falls_under_its_recipe(name: str, samples: list[Sample], tmp_path: Path) -> None:
    """At 96x72, few channels, two pictures per step and no teacher, which has its own tests."""
    spec, recipe = MODELS[name], RECIPES[name]
    spec = replace(spec, variant={**spec.variant, "width": 1 / 16})
    height, width = (max(side, spec.minimum_size) for side in (72, 96))
    recipe = replace(recipe, batch=2, crop=(height, width), teacher=None, distil=0.0, synthetic=0.0)
    torch.manual_seed(0)
    weights = class_weights(samples, spec.classes, recipe)
    trainer = Trainer(spec, build_model(spec), recipe, RunSettings(tmp_path), weights)
    augmentation = Augmentation(recipe.crop, recipe.scale, spec.classes.void)
    batches = Batches(samples, augmentation, recipe.batch, seed=0).from_step(0)
    losses = [trainer._step(*batch) for batch in itertools.islice(batches, STEPS)]
    some = STEPS // 4
    assert sum(losses[-some:]) < sum(losses[:some])
