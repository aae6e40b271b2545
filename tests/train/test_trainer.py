"""Training: seeded samples, whole checkpoints, and a run that continues where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from calibration.scenes.dataset import Sample
from models.classes import CAMVID
from models.errors import WeightsError
from models.registry import build_model, model_spec
from models.spec import InputSpec
from models.vgg import vgg16_stages
from models.weights import load_weights
from pipeline.graph.deployment import DeploymentGraph, Normalise
from pipeline.train.augment import Augmentation
from pipeline.train.batches import Batches, network_input
from pipeline.train.batchnorm import fit_batch_norms
from pipeline.train.checkpoint import load_checkpoint, save_checkpoint
from pipeline.train.loss import soft_jaccard
from pipeline.train.optimiser import rate_at
from pipeline.train.publish import Provenance, publish
from pipeline.train.recipe import Recipe
from pipeline.train.run import class_weights
from pipeline.train.shrink import shrink_encoder
from pipeline.train.trainer import RunSettings, Trainer

LITE = model_spec("segnet_lite")
TINY = Recipe(steps=4, batch=2, crop=(64, 64), warmup=1, validate_every=2)


def batches(samples: list[Sample], seed: int = 0) -> Batches:
    augmentation = Augmentation(TINY.crop, TINY.scale, CAMVID.void)
    return Batches(samples, augmentation, TINY.batch, seed)


def trainer(folder: Path, recipe: Recipe = TINY) -> Trainer:
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    settings = RunSettings(folder, checkpoint_seconds=0.0)
    return Trainer(LITE, build_model(LITE), recipe, settings, torch.ones(11))


def test_samples_depend_on_seed_and_step_alone(samples: list[Sample]) -> None:
    stream = batches(samples).from_step(0)
    next(stream)
    second = next(stream)
    again = next(batches(samples).from_step(1))
    other = next(batches(samples, seed=1).from_step(1))
    assert all(torch.equal(a, b) for a, b in zip(second, again, strict=True))
    assert not torch.equal(second[0], other[0])


def test_labels_move_with_their_picture() -> None:
    random = np.random.default_rng(0)
    label = np.zeros((60, 80), np.uint8)
    label[20:40, 30:60] = 3
    image = np.where(label[..., None] == 3, 255, 0).astype(np.uint8).repeat(3, 2)
    augmentation = Augmentation((48, 64), (0.7, 1.5), CAMVID.void)
    for _ in range(10):
        picture, moved = augmentation.apply(image, label, random)
        inside = cv2.erode((moved == 3).astype(np.uint8), np.ones((5, 5))) > 0
        outside = cv2.dilate((moved == 3).astype(np.uint8), np.ones((5, 5))) == 0
        assert picture.shape == (48, 64, 3)
        assert set(np.unique(moved)) <= {0, 3, CAMVID.void}
        assert picture[inside].mean() > picture[outside & (moved != CAMVID.void)].mean() + 100


def test_every_picture_is_seen_once_per_epoch(samples: list[Sample]) -> None:
    seen: list[str] = []

    class Recorder:
        def apply(self, image: np.ndarray, label: np.ndarray, random: object) -> tuple:  # type: ignore[type-arg]
            seen.append(next(s.name for s in samples if s.image is image))
            return image, label

    made = replace(batches(samples), augmentation=Recorder())  # type: ignore[arg-type]
    for number in range(6):
        made._one(number)
    assert sorted(seen[:3]) == sorted(seen[3:]) == ["0", "1", "2"]


def test_the_network_sees_in_training_what_it_sees_deployed(samples: list[Sample]) -> None:
    spec = InputSpec(96, 72)
    frames = torch.from_numpy(samples[0].image[None])
    deployed = DeploymentGraph(build_model(LITE), spec).preprocess(frames)
    assert torch.allclose(network_input(frames, Normalise(spec)), deployed, atol=1e-5)


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, samples: list[Sample]
) -> None:
    whole = trainer(tmp_path / "whole")
    whole.train(batches(samples), samples[:1])

    def stop(samples: object) -> None:
        raise KeyboardInterrupt

    first = trainer(tmp_path / "parts")
    first._validate = stop  # type: ignore[assignment]  # Ctrl-C at step 2
    with pytest.raises(KeyboardInterrupt):
        first.train(batches(samples), samples[:1])
    second = trainer(tmp_path / "parts")
    second.resume()
    assert second.step == 2
    second.train(batches(samples), samples[:1])
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, second.average.state_dict()[name]), name


def test_a_run_leaves_checkpoint_best_and_log(tmp_path: Path, samples: list[Sample]) -> None:
    run = trainer(tmp_path)
    run.train(batches(samples), samples[:1])
    names = {"checkpoint.pt", "best.pt", "log.jsonl", "curves.svg"}
    assert {p.name for p in tmp_path.iterdir()} == names
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "miou" in row] == [2, 4]


def test_training_lowers_the_loss(tmp_path: Path, samples: list[Sample]) -> None:
    run = trainer(tmp_path, Recipe(steps=30, batch=2, crop=(64, 64), rate=3e-3, warmup=3))
    stream = batches(samples[:1]).from_step(0)
    losses = [run._step(*next(stream)) for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_a_resumed_run_takes_the_rates_of_the_recipe_that_it_is_given(
    tmp_path: Path, samples: list[Sample]
) -> None:
    trainer(tmp_path).train(batches(samples), samples[:1])
    slower = trainer(tmp_path, replace(TINY, steps=8, rate=1e-5, encoder_rate=0.5))
    slower.resume()
    assert slower.step == TINY.steps
    assert {group["peak"] for group in slower.optimizer.param_groups} == {1e-5, 5e-6}


def test_early_dropout_ends_where_the_recipe_says(tmp_path: Path, samples: list[Sample]) -> None:
    spec = model_spec("fc_densenet56")
    recipe = replace(TINY, dropout=0.5)
    settings = RunSettings(tmp_path, checkpoint_seconds=0.0)
    run = Trainer(spec, build_model(spec), recipe, settings, torch.ones(11))
    dropouts = [m for m in run.network.modules() if isinstance(m, torch.nn.Dropout)]
    shares, stream = [], batches(samples).from_step(0)
    for _ in range(recipe.steps):
        run._step(*next(stream))
        shares.append({layer.p for layer in dropouts})
    assert shares == [{0.2}, {0.2}, {0.0}, {0.0}]


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_a_damaged_checkpoint_is_refused_in_words(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"model": "segnet_lite", "x": torch.zeros(1000)})
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "garbage": b"x" * 999, "empty": b""}[damage])
    with pytest.raises(WeightsError, match="cannot be read"):
        load_checkpoint(path, "segnet_lite")


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoint.pt", {"model": "segnet"})
    with pytest.raises(WeightsError, match="of 'segnet', expected format 1 of 'segnet_lite'"):
        load_checkpoint(tmp_path / "checkpoint.pt", "segnet_lite")


def test_a_perfect_prediction_overlaps_fully_and_void_counts_nowhere() -> None:
    labels = torch.tensor([[[0, 1, 1, 9]]])
    right = torch.nn.functional.one_hot(labels.clamp(max=2), 3).permute(0, 3, 1, 2) * 50.0
    assert soft_jaccard(right, labels, void=9) == pytest.approx(0.0, abs=1e-6)
    wrong = right.clone()
    wrong[..., 3] = torch.tensor([[50.0], [0.0], [0.0]])  # under void, anything goes
    assert torch.equal(soft_jaccard(wrong, labels, 9), soft_jaccard(right, labels, 9))
    half = soft_jaccard(right.flip(1), labels, void=9)  # class 1 right, class 0 missed
    assert half == pytest.approx(0.5, abs=1e-6)
    assert soft_jaccard(right, torch.full_like(labels, 9), void=9) == 0.0


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    recipe = Recipe(steps=100, warmup=10)
    rates = [rate_at(step, recipe) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9]
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[100] == 0.0


def test_class_weights_are_median_frequency() -> None:
    label = np.zeros((10, 10), np.uint8)
    label[0, :10] = 1  # 10 % against 90 %: median 50 %
    samples = [Sample("a", np.zeros((10, 10, 3), np.uint8), label)]
    weights = class_weights(samples, CAMVID, Recipe(class_power=1.0))
    assert weights[:2].tolist() == pytest.approx([0.5 / 0.9, 0.5 / 0.1])
    assert weights[2:].tolist() == [0.0] * 9  # classes that never occur carry no loss


def encoder_outputs(stages: torch.nn.ModuleList, x: torch.Tensor, norms: bool) -> torch.Tensor:
    for stage in stages:
        for layer in stage:
            x = torch.relu(layer.norm(layer.conv(x)) if norms else layer.conv(x))
        x = torch.max_pool2d(x, 2)
    return x


@torch.no_grad()
def test_fitted_batch_norms_do_not_change_the_function() -> None:
    torch.manual_seed(0)
    stages = vgg16_stages(0.25).eval()
    pictures = [torch.randn(1, 3, 64, 64) for _ in range(3)]
    fit_batch_norms(stages, pictures)
    expected = encoder_outputs(stages, pictures[0], norms=False)
    assert torch.allclose(encoder_outputs(stages, pictures[0], norms=True), expected, atol=1e-5)
    norm = stages[0][0].norm
    assert not torch.allclose(norm.running_mean, torch.zeros_like(norm.running_mean))


@torch.no_grad()
def test_an_encoder_shrunk_to_its_own_width_is_the_same_up_to_channel_order() -> None:
    torch.manual_seed(0)
    wide, narrow = vgg16_stages(0.125), vgg16_stages(0.125)
    pictures = [torch.randn(1, 3, 64, 64) for _ in range(3)]
    shrink_encoder(wide, narrow, pictures)
    first, again = wide[0][0].conv, narrow[0][0].conv
    ours, theirs = again(pictures[0]), first(pictures[0])
    order = [int((theirs - y).abs().sum((0, 2, 3)).argmin()) for y in ours.unbind(1)]
    assert sorted(order) == list(range(8))
    assert torch.allclose(ours, theirs[:, order], atol=0.02)


def test_published_weights_carry_the_score_of_the_file_itself(
    tmp_path: Path, samples: list[Sample]
) -> None:
    run = trainer(tmp_path / "run")
    run.train(batches(samples), samples[:1])
    provenance = Provenance("drawn frames", None, "free", seed=0)
    card = publish(LITE, tmp_path / "run" / "checkpoint.pt", samples[:1], provenance, tmp_path)
    assert json.loads((tmp_path / "segnet_lite.json").read_text()) == card
    network = build_model(LITE)
    loaded = load_weights(network, LITE, str(tmp_path / "segnet_lite.safetensors"))
    assert loaded.sha256 == card["sha256"]
    assert card["step"] == 4
    assert 0 <= card["val"]["miou"] <= 1
