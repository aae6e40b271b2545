"""Set up one training run from a folder of data, and run it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from calibration.scenes.dataset import Sample
from calibration.scenes.synthetic import SyntheticDrive
from models.classes import ClassSet
from models.registry import MODELS, build_model, model_spec
from models.spec import ModelSpec
from pipeline.graph.deployment import Normalise
from pipeline.progress import step_bar
from pipeline.train.augment import Augmentation, Picture
from pipeline.train.batches import Batches, network_input
from pipeline.train.recipe import Recipe
from pipeline.train.runlog import writable
from pipeline.train.samples import load_training_samples, load_validation_samples
from pipeline.train.start import (
    start_from_published,
    start_from_trained,
    start_from_trained_encoder,
)
from pipeline.train.trainer import RunSettings, Trainer

log = logging.getLogger(__name__)

#: Training pictures that a pretrained encoder's batch norms are fitted to.
PICTURES_SEEN = 8


@dataclass(frozen=True)
class TrainingData:
    """What to train on.

    Attributes:
        train, val: labelled folders.
        encoder_weights: a file, ``published``, or a network with registered weights and the
            same encoder; None to start from random ones.
        weights: trained weights of the whole network to continue from; a source as for
            ``models.weights.load_weights``. With ``Recipe.qat`` None means the registered ones.
        calibration: for ``Recipe.qat`` alone, the INT8 ranges: a table, or a folder or video to
            measure them on; None for the registered table.
        classes: what their labels mean; None for the network's registered class set.
    """

    train: Path
    val: Path
    encoder_weights: str | None = None
    weights: str | None = None
    calibration: Path | None = None
    classes: ClassSet | None = None


def train_model(
    name: str,
    data: TrainingData,
    recipe: Recipe,
    settings: RunSettings,
    resume: bool,
) -> Trainer:
    """Train network ``name``; checkpoints and log go to ``settings.folder``."""
    spec = model_spec(name)
    spec = replace(spec, classes=data.classes or spec.classes)
    torch.manual_seed(settings.seed)
    samples = load_training_samples(data.train, spec)
    validation = load_validation_samples(data.val, spec)
    with writable(settings.folder):
        settings.folder.mkdir(parents=True, exist_ok=True)
    network = build_model(spec)
    resuming = resume and (settings.folder / "checkpoint.pt").exists()
    if recipe.qat:
        _simulate(network, spec, data, settings.bar)
    elif not resuming:  # a checkpoint has its own weights
        _start(network, spec, data, samples)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = Trainer(spec, network, recipe, settings, class_weights(samples, spec.classes, recipe))
    if resuming:
        trainer.resume()
        log.info("resumed at step %d", trainer.step)
    trainer.train(_batches(samples, spec, recipe, settings.seed), validation)
    return trainer


def _start(
    network: nn.Module, spec: ModelSpec, data: TrainingData, samples: Sequence[Sample]
) -> None:
    if data.weights is not None:
        start_from_trained(network, spec, data.weights)
    elif data.encoder_weights in MODELS:
        start_from_trained_encoder(network, spec, data.encoder_weights)
    elif data.encoder_weights is not None:
        pictures = [sample.image for sample in samples[:: max(1, len(samples) // PICTURES_SEEN)]]
        normalise = Normalise(spec.input)
        inputs = [network_input(torch.from_numpy(image[None]), normalise) for image in pictures]
        start_from_published(network, spec, data.encoder_weights, inputs)


def _simulate(network: nn.Module, spec: ModelSpec, data: TrainingData, bar: bool) -> None:
    from pipeline.train.qat import start_fine_tuning  # needs torchao; other training does not

    with step_bar(0, 100, bar) as show:

        def progress(words: str, share: float) -> None:
            show(round(100 * share), words)

        start_fine_tuning(network, spec, data.weights, data.calibration, progress)


def _batches(samples: Sequence[Sample], spec: ModelSpec, recipe: Recipe, seed: int) -> Batches:
    def draw(number: int) -> tuple[Picture, Picture]:
        # A new drive every 50 samples, and frames far apart, so that scenes do not repeat.
        drive = SyntheticDrive(spec.input.width, spec.input.height, seed=seed + number // 50)
        return drive.frame(number * 37)

    return Batches(
        samples,
        Augmentation(recipe.crop, recipe.scale, spec.classes.void),
        recipe.batch,
        seed,
        recipe.synthetic,
        draw if recipe.synthetic > 0 else None,
    )


def class_weights(samples: Sequence[Sample], classes: ClassSet, recipe: Recipe) -> Tensor:
    """Median-frequency weights (Eigen and Fergus 2015), to the recipe's power, (classes,) FP32.

    A class's frequency is its share of the pixels of those pictures that show it.
    """
    pixels = np.zeros(len(classes))
    shown_in = np.zeros(len(classes))
    for sample in samples:
        count = np.bincount(sample.label[sample.label != classes.void], minlength=len(classes))
        pixels += count
        shown_in += (count > 0) * sample.label.size
    frequency = np.divide(pixels, shown_in, out=np.full(len(classes), np.nan), where=shown_in > 0)
    weights = (np.nanmedian(frequency) / frequency) ** recipe.class_power
    return torch.from_numpy(np.nan_to_num(weights, nan=0.0)).float()


def bfloat16_is_fast() -> bool:
    """Whether this machine multiplies bfloat16 in hardware (CUDA, AMX or AVX-512 BF16)."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
