"""The network that a build starts from: a registered one, or a foreign one from an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from models.registry import build_model, model_spec
from models.spec import ModelSpec, NetworkSpec
from models.weights import LoadedWeights, as_trained, load_weights
from pipeline.build.options import BuildOptions
from pipeline.errors import BuildError


@dataclass(frozen=True)
class Candidate:
    """A network with its weights, ready to be deployed.

    Attributes:
        spec: as it is to be built.
        weights: that were loaded.
        network: (N, 3, h, w) normalised floats -> (N, classes, h, w) logits.
        suffix: part of the engine's name that says what differs from the registered network.
        warnings: what was assumed.
    """

    spec: NetworkSpec
    weights: LoadedWeights
    network: nn.Module
    suffix: str = ""
    warnings: tuple[str, ...] = ()


def choose(options: BuildOptions) -> Candidate:
    """Make the network that ``options`` name and load its weights.

    Raises:
        RoadsegError: an unknown network, or a size, stride or weights that it cannot have.
    """
    if options.foreign is not None:
        # Imports onnx, which few builds need here.
        from pipeline.graph.onnx_import import open_foreign
        from pipeline.graph.onnx_import.trial import try_out

        try_out(options.foreign, options.size, options.batch[2])
        found = open_foreign(options.foreign, options.size, options.batch[2])
        given = found.spec.input
        suffix = f"-{given.width}x{given.height}" if found.sized else ""
        return Candidate(found.spec, found.weights, found.network, suffix, found.warnings)
    usual = model_spec(options.model)
    spec = as_trained(_sized(usual, options.size), options.weights)
    spec = _strided(spec, options.output_stride)
    torch.manual_seed(0)  # '--weights none' is the same network every time
    network = build_model(spec)
    weights = load_weights(network, spec, options.weights)
    return Candidate(spec, weights, network, _suffix(spec, usual))


def _suffix(spec: ModelSpec, usual: ModelSpec) -> str:
    size = (spec.input.width, spec.input.height)
    suffix = "" if size == (usual.input.width, usual.input.height) else f"-{size[0]}x{size[1]}"
    if spec.output_stride != usual.output_stride:
        suffix += f"-os{spec.output_stride}"
    return suffix


def _sized(spec: ModelSpec, size: tuple[int, int] | None) -> ModelSpec:
    if size is None:
        return spec
    width, height = size
    spec.check_size(width, height)
    return replace(spec, input=replace(spec.input, width=width, height=height))


def _strided(spec: ModelSpec, stride: int | None) -> ModelSpec:
    if stride is None or stride == spec.output_stride:
        return spec
    if stride not in spec.output_strides:
        known = ", ".join(str(known) for known in (spec.output_stride, *spec.output_strides))
        raise BuildError(
            f"--output-stride {stride} was given, {spec.name} has {known}; choose among these"
        )
    return replace(spec, output_stride=stride, variant={**spec.variant, "output_stride": stride})
