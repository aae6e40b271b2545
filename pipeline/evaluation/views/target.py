"""What a view shows: a network with its weights, and a picture at the network's size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from calibration.scenes.dataset import read_picture
from calibration.scenes.synthetic import SyntheticDrive
from models.registry import build_model, model_spec
from models.spec import ModelSpec
from models.weights import as_trained, load_weights, registered_weights
from pipeline.graph.deployment import DeploymentGraph
from pipeline.stream.frame import Image

#: Seed of random weights: the same picture every time.
SEED = 0


@dataclass(frozen=True)
class Target:
    """A network to look into, and its input.

    Attributes:
        spec: registry row of the network.
        graph: the network with its preprocessing, parameters frozen.
        weights: name of the weights or of their file, None for random ones of seed ``SEED``.
        picture: (H, W, 3) uint8 BGR at the network's size.
        source: description of the picture, for captions.
    """

    spec: ModelSpec
    graph: DeploymentGraph
    weights: str | None
    picture: Image
    source: str

    @property
    def caption(self) -> str:
        """One line: network, size, weights, picture."""
        size = f"{self.spec.input.width}x{self.spec.input.height}"
        weights = self.weights or f"random (seed {SEED}), so this shows only the architecture"
        return f"{self.spec.name} at {size}; weights: {weights}; picture: {self.source}"


def open_target(model: str, weights: str | None, picture: Path | None) -> Target:
    """Build the network, load its weights, and read or draw the picture.

    Args:
        model: registry name.
        weights: file, registered name, ``none`` for random ones, or None for the registered ones
            where there are some and random ones elsewhere.
        picture: file; None for frame 0 of the synthetic drive.

    Raises:
        RoadsegError: an unknown network, weights that do not fit, a picture that cannot be read.
    """
    spec = as_trained(model_spec(model), weights)
    if weights is None and registered_weights(model) is None:
        weights = "none"
    if picture is None:
        image, source = drive_frame(spec, 0), "frame 0 of the synthetic drive"
    else:
        image, source = _resized(read_picture(picture), spec), picture.name
    torch.manual_seed(SEED)
    network = build_model(spec).requires_grad_(False)
    loaded = load_weights(network, spec, weights)
    name = None if loaded.sha256 is None else Path(loaded.name).name
    return Target(spec, DeploymentGraph(network, spec.input), name, image, source)


def drive_frame(spec: ModelSpec, index: int) -> Image:
    """Draw frame ``index`` of the synthetic drive at the network's size."""
    image, _ = SyntheticDrive(spec.input.width, spec.input.height).frame(index)
    return image


def _resized(image: Image, spec: ModelSpec) -> Image:
    size = (spec.input.width, spec.input.height)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
