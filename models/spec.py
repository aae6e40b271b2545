"""The description of a network, shared by training, calibration, deployment and the camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from models.classes import CAMVID, ClassSet
from models.errors import SizeError

#: Largest width and height of a network or frame, in pixels.
LARGEST_SIZE = 3840

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class InputSpec:
    """How a camera frame becomes the network's input.

    Attributes:
        width, height: size that the network works on, in pixels.
        mean, std: per channel in ``order``, on values scaled to 0..1.
        order: channel order the network expects. Frames arrive as BGR, as OpenCV gives them.
    """

    width: int = 480
    height: int = 360
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    order: Literal["rgb", "bgr"] = "rgb"


@dataclass(frozen=True)
class LoadedWeights:
    """Attributes: ``name`` as given or registered; ``sha256`` of the file, None when random."""

    name: str
    sha256: str | None


@dataclass(frozen=True)
class Paper:
    """Where a network comes from, and what it reported on CamVid (11 classes, test split).

    Attributes:
        camvid_note: what to know before comparing with that figure.
        idea: how it gets detail or context, for tables.
    """

    title: str
    authors: str
    year: int
    venue: str
    idea: str = ""
    camvid_test_miou: float | None = None
    camvid_note: str = ""
    parameters: str | None = None


@dataclass(frozen=True)
class Figures:
    """Figures of the network, which tests compare with the built one.

    Attributes:
        parameters: learned values.
        gmacs: 10^9 multiply-adds of one picture at the spec's input size.
        receptive_field: theoretical side, in pixels, of what one central output sees through
            convolutions, poolings and resizes with a window; the longer side where they differ.
        global_context: whether a pooling over the whole picture adds to that.
    """

    parameters: int
    gmacs: float
    receptive_field: int
    global_context: bool = False


@dataclass(frozen=True)
class NetworkSpec:
    """A network, registered or from an ONNX file.

    Attributes:
        name: of its engines.
        classes: of its output channels.
        input: how a camera frame becomes its input.
        variant: distinguishes networks of one name; for a row of the registry the keyword arguments
            of its builder.
    """

    name: str
    classes: ClassSet = field(default=CAMVID, kw_only=True)
    input: InputSpec = field(default=InputSpec(), kw_only=True)
    variant: Mapping[str, object] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class ModelSpec(NetworkSpec):
    """One row of the registry; classes and input are those of the registered weights.

    Attributes:
        builder: ``module:function`` that takes (classes, **variant) and returns the network.
        paper: of the architecture.
        output_stride: input pixels per cell of the coarsest feature map.
        figures: size, cost and field of view.
        minimum_size: smallest usable width and height; the output stride unless given.
        output_strides: others that the builder supports with the same weights, by its keyword
            ``output_stride``.
        earlier_stage: network that the paper trains before this one, which continues from it.
        encoder: row of ``models.pretrained.ENCODERS`` whose published weights fit the network's
            ``encoder``; None if the network starts from random weights, as in its paper.
    """

    builder: str
    paper: Paper
    output_stride: int
    figures: Figures
    minimum_size: int = 0
    output_strides: tuple[int, ...] = ()
    earlier_stage: str | None = None
    encoder: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "minimum_size", self.minimum_size or self.output_stride)

    def check_size(self, width: int, height: int) -> None:
        """Check a network size.

        Raises:
            SizeError: a side is below ``minimum_size`` or above ``LARGEST_SIZE``; the nearest
                usable size is named.
        """
        nearest = [min(max(side, self.minimum_size), LARGEST_SIZE) for side in (width, height)]
        if nearest != [width, height]:
            raise SizeError(
                f"{self.name} cannot work at {width}x{height}, expected sides from "
                f"{self.minimum_size} to {LARGEST_SIZE}; the nearest usable size is "
                f"{nearest[0]}x{nearest[1]}"
            )
