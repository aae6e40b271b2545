"""Distillation: the student approaches its teacher, and the teacher stays unchanged."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from calibration.scenes.dataset import Sample
from models.classes import ClassSet
from models.errors import WeightsError
from models.registry import build_model, model_spec
from models.spec import InputSpec, ModelSpec
from pipeline.errors import TrainingError
from pipeline.train.augment import Augmentation
from pipeline.train.batches import Batches
from pipeline.train.distil import Teacher, check_classes, divergence, load_teacher
from pipeline.train.recipe import RECIPES, Recipe
from pipeline.train.trainer import RunSettings, Trainer

CPU = torch.device("cpu")
STUDENT = model_spec("segnet_lite")
TAUGHT = Recipe(
    steps=16,
    batch=2,
    crop=(64, 64),
    warmup=2,
    validate_every=8,
    teacher="deeplab_v3plus_lite",
    distil=1.0,
)


def batches(samples: list[Sample]) -> Batches:
    augmentation = Augmentation(TAUGHT.crop, TAUGHT.scale, STUDENT.classes.void)
    return Batches(samples, augmentation, TAUGHT.batch, seed=0)


def trainer(folder: Path, recipe: Recipe = TAUGHT) -> Trainer:
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    settings = RunSettings(folder, checkpoint_seconds=0.0)
    return Trainer(STUDENT, build_model(STUDENT), recipe, settings, torch.ones(11))


def teacher() -> Teacher:
    found = load_teacher(TAUGHT, STUDENT, CPU)
    assert found is not None
    return found


def distance(run: Trainer, frames: Tensor) -> float:
    with torch.no_grad():
        scores = run.network(run.normalise(frames.permute(0, 3, 1, 2).float()))
    return divergence(scores, teacher().logits(frames), 1.0, torch.ones(11)).item()


def spec_with(*names: str) -> ModelSpec:
    palette = tuple((i, i, i) for i in range(len(names)))
    return replace(STUDENT, classes=ClassSet(names, palette, void=len(names)))


def test_a_taught_student_ends_closer_to_the_teacher_than_an_untaught_one(
    tmp_path: Path, samples: list[Sample]
) -> None:
    frames, labels = next(batches(samples).from_step(0))
    labels = torch.randint_like(labels, 11)  # anything learned about the street is the teacher's
    distances = []
    for weight in (0.0, 1.0):
        run = trainer(tmp_path, replace(TAUGHT, distil=weight))
        before = distance(run, frames)
        for _ in range(TAUGHT.steps):
            run._step(frames, labels)
        distances.append(distance(run, frames) / before)
    untaught, taught = distances
    assert taught < 0.7 < untaught


def test_the_teacher_gets_no_gradient_and_does_not_change(
    tmp_path: Path, samples: list[Sample]
) -> None:
    run = trainer(tmp_path, replace(TAUGHT, steps=2))
    run.train(batches(samples), samples[:1])
    assert run.teacher is not None
    network = run.teacher.network
    assert not any(module.training for module in network.modules())
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    registered = teacher().network.state_dict()
    assert all(torch.equal(v, registered[name]) for name, v in network.state_dict().items())
    assert set(run.average.state_dict()) == set(build_model(STUDENT).state_dict())


def test_an_interrupted_student_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, samples: list[Sample]
) -> None:
    recipe = replace(TAUGHT, steps=4, validate_every=2)
    whole = trainer(tmp_path / "whole", recipe)
    whole.train(batches(samples), samples[:1])

    def interrupt(samples: object) -> None:
        raise KeyboardInterrupt

    first = trainer(tmp_path / "parts", recipe)
    first._validate = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        first.train(batches(samples), samples[:1])
    second = trainer(tmp_path / "parts", recipe)
    second.resume()
    assert second.step == 2
    second.train(batches(samples), samples[:1])
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, second.average.state_dict()[name]), name


def test_the_teacher_sees_frames_normalised_as_it_was_trained() -> None:
    seen: list[Tensor] = []

    class Recorder(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return super().forward(x)

    plain = InputSpec(mean=(0.0, 0.0, 0.5), std=(1.0, 1.0, 0.5), order="bgr")
    frames = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    frames[..., 0], frames[..., 2] = 255, 51  # blue at its maximum, red at a fifth
    Teacher(Recorder(3, 11, 1), replace(STUDENT, input=plain)).logits(frames)
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx([1.0, 0.0, -0.6])


def test_the_divergence_is_that_of_the_softened_scores() -> None:
    ours = torch.tensor([0.0, 0.0]).view(1, 2, 1, 1)
    theirs = torch.tensor([math.log(9.0), 0.0]).view(1, 2, 1, 1)  # shares 0.9, 0.1; softened
    for temperature, share in ((1.0, 0.9), (2.0, 0.75)):  # square roots: 3 to 1
        by_hand = share * math.log(2 * share) + (1 - share) * math.log(2 * (1 - share))
        found = divergence(ours, theirs, temperature, torch.ones(2)).item()
        assert found == pytest.approx(temperature**2 * by_hand, rel=1e-5)
    assert divergence(theirs, theirs, 2.0, torch.ones(2)).item() == pytest.approx(0.0, abs=1e-7)


def test_it_is_a_mean_over_pixels_weighted_by_what_the_teacher_sees_in_them() -> None:
    theirs = torch.tensor([[5.0, 0.0, 0.0], [0.0, 5.0, 5.0]]).view(1, 2, 1, 3)  # class 0, 1, 1
    ours = torch.randn(1, 2, 1, 3)
    alone = [
        divergence(ours[..., i : i + 1], theirs[..., i : i + 1], 2.0, torch.ones(2))
        for i in range(3)
    ]
    by_hand = (6 * alone[0] + 2 * alone[1] + 2 * alone[2]) / 10
    assert torch.allclose(divergence(ours, theirs, 2.0, torch.tensor([6.0, 2.0])), by_hand)
    assert divergence(ours, theirs, 2.0, torch.zeros(2)) == 0.0  # nothing counts


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("road", "car"), "has 11 classes, expected the 2 of segnet_lite"),
        (
            ("Sky", "Building", "Road", "Pole", *STUDENT.classes.names[4:]),
            "has 'Pole' as class 2, expected 'Road'",
        ),
    ],
)
def test_a_teacher_of_other_classes_is_refused_in_one_line(
    names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        load_teacher(TAUGHT, spec_with(*names), CPU)
    assert "\n" not in str(caught.value)


def test_a_teacher_without_registered_weights_is_refused() -> None:
    with pytest.raises(WeightsError, match="no trained weights are registered for pspnet_resnet50"):
        load_teacher(replace(TAUGHT, teacher="pspnet_resnet50"), STUDENT, CPU)


@pytest.mark.parametrize(
    "name", [name for name, recipe in RECIPES.items() if recipe.teacher is not None]
)
def test_every_pair_in_the_table_fits_and_has_a_weight(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.distil > 0
    assert recipe.temperature >= 1
    check_classes(model_spec(str(recipe.teacher)), model_spec(name))
