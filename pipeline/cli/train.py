"""``train``: weights from labelled pictures."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from calibration.scenes.class_file import read_classes
from calibration.scenes.dataset import list_pictures
from models.atomic import sha256_of
from models.lock import WriteLock
from models.pretrained import describe_source
from models.registry import MODELS, model_spec
from models.spec import ModelSpec
from models.weights import TRAINED, registered_weights
from pipeline.cli.outcome import Outcome, is_quiet, percent
from pipeline.cli.signals import stop_on_signal
from pipeline.errors import OutputError, TrainingError
from pipeline.train.publish import TERMS, Provenance, publish, register
from pipeline.train.recipe import Recipe, fine_tuning_recipe, qat_recipe, recipe_of
from pipeline.train.run import TrainingData, bfloat16_is_fast, train_model
from pipeline.train.samples import load_validation_samples
from pipeline.train.trainer import RunSettings, Trainer

#: Options that replace settings of the recipe, by their names there.
_OF_RECIPE = ("steps", "batch", "crop", "rate", "synthetic", "patience")

#: Options that decide what a run computes, in the order in which a card names them.
_DECISIVE = (
    *("qat", "weights", "calibration", "data", "encoder_weights", "classes"),
    *_OF_RECIPE,
    "seed",
)


def run(options: argparse.Namespace) -> Outcome:
    """Train, or continue a run; then write the best weights and their card."""
    _check_fine_tuning(options)
    spec = _spec(options)
    folder = options.folder or Path("runs") / f"{spec.name}{'-qat' if options.qat else ''}"
    with _locked(folder):
        _check_folder(folder, options)
        return _run(options, spec, folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder against other runs; remove it at the end if it is empty."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = WriteLock(folder / ".lock", f"the run in {folder}")
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror}); choose another --folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # there is something in it
            folder.rmdir()


def _run(options: argparse.Namespace, spec: ModelSpec, folder: Path) -> Outcome:
    recipe = _recipe(options, spec)
    bar = sys.stderr.isatty() and not (is_quiet(options) or options.verbose)
    if not bar:  # then log lines show the progress
        logging.getLogger("pipeline.train").setLevel(logging.INFO)
    if options.threads:
        torch.set_num_threads(options.threads)
    provenance = _provenance(options, recipe)
    data = TrainingData(
        options.data / "train",
        options.data / "val",
        options.encoder_weights,
        options.weights,
        options.calibration,
        spec.classes,
    )
    with stop_on_signal() as stop:
        # bfloat16's 8 bits would hide the INT8 rounding that --qat trains for.
        amp = bfloat16_is_fast() and not options.qat
        settings = RunSettings(folder, seed=options.seed, amp=amp, bar=bar, stop=stop)
        trainer = train_model(spec.name, data, recipe, settings, options.resume)
    if not trainer.finished:
        return _stopped(trainer, stop.status)
    validation = load_validation_samples(data.val, spec)
    card = publish(spec, folder / "best.pt", validation, provenance, folder)
    if options.publish:
        register(spec.name, folder, TRAINED, weights=options.publish == "weights")
    early = "" if trainer.step == recipe.steps else f", ended early at step {trainer.step}"
    text = (
        f"{folder / card['file']}: val mIoU {percent(card['val']['miou']).strip()}, "
        f"{card['bytes']} bytes{early}"
    )
    return Outcome(card, text)


def _spec(options: argparse.Namespace) -> ModelSpec:
    spec = model_spec(options.model)
    if options.classes is None:
        return spec
    classes = read_classes(options.classes)
    if options.publish and classes != spec.classes:
        raise TrainingError(
            f"--publish was given with the {len(classes)} classes of {options.classes}, but the "
            f"repository's weights are for the registered {len(spec.classes)}; drop --publish, the "
            "weights stay in the run's folder"
        )
    return replace(spec, classes=classes)


def _recipe(options: argparse.Namespace, spec: ModelSpec) -> Recipe:
    recipe = recipe_of(spec.name)
    if options.qat:
        recipe = qat_recipe(recipe, len(list_pictures(options.data / "train")))
    elif options.weights:
        recipe = fine_tuning_recipe(recipe)
    given = {name: getattr(options, name) for name in _OF_RECIPE}
    if options.crop is not None:
        width, height = given["crop"]
        spec.check_size(width, height)
        given["crop"] = height, width
    if options.batch == 1 and spec.figures.global_context:
        raise TrainingError(
            f"--batch 1 was given for {spec.name}, whose batch norm after the global pooling needs "
            "at least two pictures; give --batch 2 and a smaller --crop"
        )
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    if spec.classes.names != model_spec(spec.name).classes.names:
        # The synthetic drive and the registered teachers have CamVid's classes only.
        if options.synthetic:
            raise TrainingError(
                f"--synthetic was given with the classes of {options.classes}, but the synthetic "
                "drive has CamVid's; drop --synthetic or --classes"
            )
        recipe = replace(recipe, synthetic=0.0, teacher=None, distil=0.0)
    return recipe


def _check_fine_tuning(options: argparse.Namespace) -> None:
    if (options.qat or options.weights) and options.encoder_weights is not None:
        given = "--qat" if options.qat else f"--weights {options.weights}"
        raise TrainingError(
            f"{given} was given with --encoder-weights {options.encoder_weights}, expected weights "
            "of the whole network or of its encoder; drop one of the two"
        )
    if options.calibration is not None and not options.qat:
        raise TrainingError(
            "--calibration was given without --qat, the only mode that simulates INT8; add --qat, "
            "or drop --calibration"
        )


def _check_folder(folder: Path, options: argparse.Namespace) -> None:
    if (folder / "checkpoint.pt").exists() and not (options.resume or options.force):
        raise TrainingError(
            f"{folder} holds a run with a checkpoint, expected a new folder; continue with "
            f"--resume, choose another --folder, or start over with --force"
        )


def _stopped(trainer: Trainer, status: int) -> Outcome:
    checkpoint = trainer.settings.folder / "checkpoint.pt"
    document: dict[str, Any] = {
        "stopped": True,
        "step": trainer.step,
        "steps": trainer.recipe.steps,
        "checkpoint": str(checkpoint),
    }
    text = (
        f"stopped after step {trainer.step} of {trainer.recipe.steps}, saved in {checkpoint}; the "
        "same command with --resume continues from there"
    )
    return Outcome(document, text, status=status)


def _provenance(options: argparse.Namespace, recipe: Recipe) -> Provenance:
    drawn = f", {recipe.synthetic:.0%} synthetic frames" if recipe.synthetic else ""
    return Provenance(
        data=f"{options.data.name}/train{drawn}",
        pretrained=_origin(options),
        terms=TERMS.get(options.licence, options.licence),
        seed=options.seed,
        notes=options.notes,
        command=_command(options),
    )


def _origin(options: argparse.Namespace) -> str | None:
    whole = bool(options.qat or options.weights)
    if not whole and options.encoder_weights not in MODELS:
        return describe_source(model_spec(options.model).encoder, options.encoder_weights)
    source = options.weights if whole else options.encoder_weights
    named = source is None or source in MODELS
    path = registered_weights(source or options.model) if named else Path(source)
    if path is None or not path.is_file():  # train_model reports it
        return source and str(source)
    part = "" if whole else "the encoder of "
    return f"{part}trained weights {path.name}, SHA-256 {sha256_of(path)}"


def _command(options: argparse.Namespace) -> str:
    """Write the command that repeats this training, without paths of this machine."""
    words = ["python -m pipeline train", options.model]
    for name in _DECISIVE:
        value, option = getattr(options, name), name.replace("_", "-")
        if value is True:
            words.append(f"--{option}")
        elif name == "crop" and value is not None:
            words.append(f"--crop {value[0]}x{value[1]}")
        elif value is not None and value is not False:
            is_path = isinstance(value, Path) or os.sep in str(value)
            words.append(f"--{option} {_portable(Path(value)) if is_path else value}")
    return " ".join(words)


def _portable(path: Path) -> str:
    data = os.environ.get("ROADSEG_DATA")
    if data and path.resolve().is_relative_to(Path(data).resolve()):
        inside = path.resolve().relative_to(Path(data).resolve())
        return f"$ROADSEG_DATA/{inside}"
    return f"DIR/{path.name}" if path.is_absolute() else str(path)
