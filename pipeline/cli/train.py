"""``train``: weights from labelled pictures."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import torch

from calibration.dataset import open_labelled_folder
from models.registry import model_spec
from models.weights import TRAINED
from pipeline.cli.outcome import Outcome, percent
from pipeline.train.publish import TERMS, Provenance, publish
from pipeline.train.recipe import RECIPES, Recipe
from pipeline.train.run import TrainingData, bfloat16_is_fast, train_model
from pipeline.train.trainer import RunSettings


def run(options: argparse.Namespace) -> Outcome:
    """Train, or go on with a run; then write the best weights and their card."""
    spec = model_spec(options.model)
    logging.getLogger("pipeline.train").setLevel(logging.INFO)
    if options.threads:
        torch.set_num_threads(options.threads)
    recipe = RECIPES.get(spec.name, Recipe())
    if options.steps:
        recipe = replace(recipe, steps=options.steps)
    settings = RunSettings(
        folder=options.folder or Path("runs") / spec.name,
        seed=options.seed,
        amp=bfloat16_is_fast(),
    )
    data = TrainingData(options.data / "train", options.data / "val", options.trunk)
    train_model(spec.name, data, recipe, settings, options.resume)
    provenance = Provenance(
        data=f"{options.data.name}/train"
        + (f", {recipe.synthetic:.0%} synthetic frames" if recipe.synthetic else ""),
        pretrained=options.trunk.name if options.trunk else None,
        terms=TERMS.get(options.licence, options.licence),
        seed=options.seed,
    )
    card = publish(
        spec,
        settings.folder / "best.pt",
        list(open_labelled_folder(data.val, spec.classes)),
        provenance,
        TRAINED if options.publish else settings.folder,
    )
    text = f"{card['file']}: val mIoU {percent(card['val']['miou']).strip()}, {card['bytes']} bytes"
    return Outcome(card, text)
