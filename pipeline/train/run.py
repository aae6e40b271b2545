"""Set up one training run from a folder of data and go through with it."""

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
from pipeline.train.fine_tuning import FineTuning
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

#: Training pictures that the statistics of a pretrained encoder are fitted to.
PICTURES_SEEN = 8


@dataclass(frozen=True)
class TrainingData:
    """What to train on.

    Attributes:
        train, val: labelled folders.
        encoder_weights: a file, ``published``, or a network with registered weights and the
            same encoder; None to start from random ones.
        weights: trained weights of the whole network to go on from, in place of an encoder's; a
            source as for ``models.weights.load_weights``.
        classes: what their labels mean; None for the network's registered class set.
    """

    train: Path
    val: Path
    encoder_weights: str | None = None
    weights: str | None = None
    classes: ClassSet | None = None


def train_model(
    name: str,
    data: TrainingData,
    recipe: Recipe,
    settings: RunSettings,
    resume: bool,
    tuning: FineTuning | None = None,
) -> Trainer:
    """Train network ``name``; checkpoints and log go to ``settings.folder``.

    With ``tuning`` its trained weights are fine-tuned for INT8; ``recipe`` must be made for that
    (see :func:`pipeline.train.recipe.qat_recipe`).
    """
    spec = model_spec(name)
    spec = replace(spec, classes=data.classes or spec.classes)
    torch.manual_seed(settings.seed)
    samples = load_training_samples(data.train, spec)
    validation = load_validation_samples(data.val, spec)
    with writable(settings.folder):
        settings.folder.mkdir(parents=True, exist_ok=True)
    network = build_model(spec)
    resuming = resume and (settings.folder / "checkpoint.pt").exists()
    if not resuming:  # a checkpoint brings its own weights
        _start(network, spec, data, samples)
    if tuning is not None:
        _simulate(network, spec, tuning, settings.bar)
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


def _simulate(network: nn.Module, spec: ModelSpec, tuning: FineTuning, bar: bool) -> None:
    from pipeline.train.qat import start_fine_tuning  # needs torchao; other training does not

    with step_bar(0, 100, bar) as show:
        start_fine_tuning(
            network, spec, tuning, lambda words, share: show(round(100 * share), words)
        )


def _batches(samples: Sequence[Sample], spec: ModelSpec, recipe: Recipe, seed: int) -> Batches:
    def draw(number: int) -> tuple[Picture, Picture]:
        # Another drive every 50 samples, and frames far apart, so that scenes do not repeat.
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
