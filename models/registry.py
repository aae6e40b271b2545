"""The table of networks. Importing it imports no torch: a camera needs names, not layers."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING

from models.errors import ModelError
from models.spec import ModelSpec, Paper

if TYPE_CHECKING:
    from torch import nn

_SEGNET_PAPER = Paper(
    title="SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation",
    authors="Badrinarayanan, Kendall, Cipolla",
    year=2017,
    venue="PAMI, arXiv:1511.00561",
    camvid_test_miou=0.464,
    parameters="29.45M",
)

_SPECS = (
    ModelSpec(
        name="segnet",
        builder="models.segnet:build_segnet",
        paper=_SEGNET_PAPER,
        output_stride=32,
        minimum_size=32,
    ),
    ModelSpec(
        name="segnet_lite",
        builder="models.segnet:build_segnet",
        paper=_SEGNET_PAPER,
        output_stride=32,
        minimum_size=32,
        variant={"width": 0.25},
    ),
)


def _table(specs: tuple[ModelSpec, ...]) -> dict[str, ModelSpec]:
    table = {spec.name: spec for spec in specs}
    if len(table) != len(specs):
        raise ValueError("two networks are registered under one name")
    return table


MODELS = _table(_SPECS)


def model_spec(name: str) -> ModelSpec:
    """Look up a network by its registry name.

    Raises:
        ModelError: no such network; the message lists all of them and the nearest name.
    """
    if name in MODELS:
        return MODELS[name]
    near = difflib.get_close_matches(name, MODELS, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    raise ModelError(f"unknown network {name!r}; {guess}known: {', '.join(MODELS)}")


def build_model(spec: ModelSpec) -> nn.Module:
    """Build the network of ``spec`` with random weights, in training mode."""
    module, function = spec.builder.split(":")
    network: nn.Module = getattr(import_module(module), function)(spec.classes, **spec.variant)
    return network
