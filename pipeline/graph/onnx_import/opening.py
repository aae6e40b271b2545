"""From an ONNX file to a network that the rest of the pipeline takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from calibration.scenes.class_file import read_classes
from calibration.scenes.synthetic import SyntheticDrive
from models.classes import ClassSet
from models.registry import MODELS
from models.spec import InputSpec, NetworkSpec, Triple
from models.weights import LoadedWeights, check_finite
from pipeline.errors import BuildError, translated
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.onnx_import.check import check_import, takes_several
from pipeline.graph.onnx_import.check_classes import check_classes
from pipeline.graph.onnx_import.cut import normalised_by
from pipeline.graph.onnx_import.file import ForeignFile, Picture, picture_of, read_file
from pipeline.graph.onnx_import.head import Head, Reader, find_head
from pipeline.graph.onnx_import.importer import Importer
from pipeline.graph.onnx_import.midpoint import Midpoints
from pipeline.graph.onnx_import.operators.shapes import transpose
from pipeline.graph.onnx_import.options import ForeignOptions
from pipeline.graph.onnx_import.recorder import Recorder

#: Frames of the synthetic drive on which an import is compared with its file.
_FRAMES = (0, 150)
#: Noise on them, in grey levels.
_NOISE = 8


@dataclass(frozen=True)
class ForeignNetwork:
    """A network out of an ONNX file.

    Attributes:
        spec: name, input and classes; the name is the file's.
        weights: the file's name and SHA-256.
        network: (N, 3, h, w) normalised floats -> (N, classes, h, w) logits.
        sized: the size was chosen by the user, not by the file.
        warnings: what was assumed.
    """

    spec: NetworkSpec
    weights: LoadedWeights
    network: nn.Module
    sized: bool
    warnings: tuple[str, ...]


def open_foreign(
    options: ForeignOptions, size: tuple[int, int] | None, batch: int = 1
) -> ForeignNetwork:
    """Import a segmentation network and compare it with its file.

    Args:
        options: the file and what it means.
        size: (width, height) to work at; None for the file's.
        batch: most pictures in one run.

    Raises:
        RoadsegError: the file, its classes or its input cannot be used; one line says why.
    """
    remedy = "export it again, in inference mode, or fetch it again"
    with translated(BuildError, f"{options.path.name} cannot be imported", remedy):
        return _opened(options, size, batch)


def _opened(options: ForeignOptions, size: tuple[int, int] | None, batch: int) -> ForeignNetwork:
    classes = read_classes(options.classes)
    file = read_file(options.path)
    picture = picture_of(file, options, size)
    given, warnings = _input_spec(file, picture, options)
    recorder = Recorder()
    fed = recorder.picture((1, 3, picture.height, picture.width))
    if picture.layout == "nhwc":
        fed = transpose(fed, [0, 2, 3, 1])
    importer = Importer(file.graph, file.opset, recorder, {picture.name: fed})
    reader = Reader(importer, Midpoints(file.graph, importer))
    head, classes = _head(file, reader, picture, classes, options)
    network = recorder.network(head.logits)
    check_finite(file.path.name, {**dict(network.named_parameters()), **dict(_buffers(network))})
    pictures = drawn_pictures(given, picture)
    check_import(file, picture, recorder.network(head.raw), head.cut.tensor, pictures[:1])
    check_classes(file, picture, network, head, pictures[:1])
    if batch > 1 and not takes_several(network, pictures):
        raise BuildError(
            f"--batch up to {batch} was given, {file.path.name} was made for one picture at a "
            "time and mixes those of a batch; drop --batch, or export it with a free first "
            "dimension"
        )
    warnings += (head.note,) if head.note else ()
    variant = {"onnx": file.path.name, "opset": file.opset, "logits": head.cut.tensor}
    spec = NetworkSpec(_name(file), classes=classes, input=given, variant=variant)
    weights = LoadedWeights(file.path.name, file.sha256)
    return ForeignNetwork(spec, weights, network, _is_free(file, picture), warnings)


def _buffers(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the constants with NaN in them; infinite ones may be limits."""
    for name, values in network.named_buffers():
        if values.numel() > 1 and bool(values.isnan().any()):
            yield name, values


def _head(
    file: ForeignFile, reader: Reader, picture: Picture, classes: ClassSet, options: ForeignOptions
) -> tuple[Head, ClassSet]:
    """Find the logits; a last class ``void`` has a channel in some networks, in others none."""
    try:
        return find_head(file, reader, picture, len(classes), options), classes
    except BuildError:
        without = len(classes) - 1
        if classes.void == without:
            with suppress(BuildError):
                head = find_head(file, reader, picture, without, options)
                return head, ClassSet(classes.names[:-1], classes.palette[:-1], classes.void)
        raise


def _is_free(file: ForeignFile, picture: Picture) -> bool:
    value = next(one for one in file.graph.input if one.name == picture.name)
    dims = value.type.tensor_type.shape.dim
    return any(not dim.dim_value for dim in (dims[2:] if picture.layout == "nchw" else dims[1:3]))


def drawn_pictures(given: InputSpec, picture: Picture) -> Tensor:
    """Return drawn road scenes with a camera's noise, (2, 3, h, w), as the network gets them.

    Without noise whole areas have one value, and implementations differ in which of equal values a
    max pooling takes.
    """
    drive = SyntheticDrive(max(given.width, 64), max(given.height, 64))
    frames = np.stack([drive.frame(index)[0] for index in _FRAMES]).astype(int)
    noise = np.random.default_rng(0).integers(-_NOISE, _NOISE + 1, frames.shape)
    noisy = torch.from_numpy((frames + noise).clip(0, 255).astype(np.uint8))
    pictures = DeploymentGraph(nn.Identity(), given).preprocess(noisy)
    return pictures.round() if picture.kind == "uint8" else pictures


def _input_spec(
    file: ForeignFile, picture: Picture, options: ForeignOptions
) -> tuple[InputSpec, tuple[str, ...]]:
    """Return how a frame becomes the network's input, and warnings of what was assumed."""
    usual = InputSpec(picture.width, picture.height)
    order = options.order or usual.order
    if (options.mean is None) != (options.std is None):
        raise BuildError(
            f"only one of --mean and --std was given, expected both; give --mean and --std in grey "
            f"levels in the order {order.upper()} (0,0,0 and 255,255,255 scale to 0..1)"
        )
    if picture.kind == "uint8":
        if options.mean is not None:
            raise BuildError(
                f"{file.path.name} takes bytes, so it normalises them itself, and --mean and "
                "--std were given; drop them"
            )
        return replace(usual, mean=(0.0,) * 3, std=(1 / 255,) * 3, order=order), ()
    if options.mean is not None and options.std is not None:
        if min(options.std) <= 0:
            raise BuildError(
                f"--std {','.join(map(str, options.std))} was given, expected numbers above 0; a "
                "network that gets grey levels as they are has --std 1,1,1"
            )
        mean, std = (_scaled(values) for values in (options.mean, options.std))
        return replace(usual, mean=mean, std=std, order=order), ()
    own = normalised_by(file, picture)
    if own:
        raise BuildError(
            f"{file.path.name} seems to normalise by itself (node {own}) and --mean and --std were "
            "not given; give --mean 0,0,0 --std 1,1,1 if it takes grey levels 0..255, or "
            "--mean 0,0,0 --std 255,255,255 if it takes 0..1"
        )
    if order != usual.order:
        usual = replace(usual, mean=usual.mean[::-1], std=usual.std[::-1], order=order)
    return usual, (
        f"--mean and --std were not given: ImageNet's are taken, in {order.upper()}; a network "
        "that was trained with others is wrong with these",
    )


def _scaled(values: Triple) -> Triple:
    """Scale grey levels to 0..1."""
    first, second, third = (value / 255 for value in values)
    return first, second, third


def _name(file: ForeignFile) -> str:
    """Return the file's name without characters that engines may not have, unlike our networks'.

    Where characters were replaced, the file's hash is added, so that two files keep two names.
    """
    stem = file.path.stem
    name = re.sub(r"[^A-Za-z0-9_-]", "_", stem)
    if name != stem:
        name = f"{name}-{file.sha256[:8]}"
    return f"{name}_onnx" if name in MODELS else name
