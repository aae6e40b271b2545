"""An ONNX file as it is read: the graph, its one input, and the hash of its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto
from onnx.external_data_helper import ExternalDataInfo, uses_external_data
from onnx.inliner import inline_local_functions

from models.atomic import sha256_of
from models.spec import LARGEST_SIZE
from pipeline.errors import BuildError, SizeError
from pipeline.graph.onnx_import.importer import DOMAINS
from pipeline.graph.onnx_import.options import ForeignOptions

Layout = Literal["nchw", "nhwc"]

#: Oldest operator set that is read.
_OLDEST = 7
#: Smallest width and height of a network, in pixels.
_SMALLEST = 16
_KINDS: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
}


@dataclass(frozen=True)
class ForeignFile:
    """A file that was read.

    Attributes:
        path: of the file.
        model: its contents, with data that lay in other files.
        sha256: over the file and those beside it that hold its data.
        opset: version of ONNX's operator set.
    """

    path: Path
    model: ModelProto
    sha256: str
    opset: int

    @property
    def graph(self) -> GraphProto:
        """The network."""
        return self.model.graph


@dataclass(frozen=True)
class Picture:
    """The input of a foreign network.

    Attributes:
        name: of the tensor.
        layout: order of its dimensions.
        width, height: in pixels.
        kind: NumPy's name of the values' type; ``uint8`` means that the network normalises.
    """

    name: str
    layout: Layout
    width: int
    height: int
    kind: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Sizes of one picture in the layout."""
        if self.layout == "nchw":
            return 1, 3, self.height, self.width
        return 1, self.height, self.width, 3


def read_file(path: Path) -> ForeignFile:
    """Read an ONNX file; weights in files beside it are loaded, its own functions inlined.

    Raises:
        BuildError: missing, damaged, or of an operator set that is too old.
    """
    try:
        bare = onnx.load(path, load_external_data=False)
        beside = _beside(bare, path.parent)
        for other in beside:
            other.stat()
        onnx.load_external_data_for_model(bare, str(path.parent))
        onnx.checker.check_model(bare, check_custom_domain=False)
        model = inline_local_functions(bare) if bare.functions else bare
        digest = sha256_of(path, *beside)
    except OSError as error:
        raise BuildError(
            f"ONNX file {path} cannot be read ({error.strerror or error}); check --onnx, and that "
            "files with its weights lie beside it"
        ) from error
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BuildError(
            f"{path} is not a complete ONNX file ({reason}); export or fetch it again"
        ) from error
    opset = max((one.version for one in model.opset_import if one.domain in DOMAINS), default=0)
    if opset < _OLDEST:
        raise BuildError(
            f"{path} was written for ONNX operator set {opset}, expected {_OLDEST} or newer; "
            "export it again"
        )
    return ForeignFile(path, model, digest, opset)


def _beside(model: ModelProto, folder: Path) -> list[Path]:
    """Return the files that hold data of a model, in order of their names."""
    found = {
        ExternalDataInfo(tensor).location
        for tensor in model.graph.initializer
        if uses_external_data(tensor)
    }
    return [folder / name for name in sorted(found)]


def picture_of(file: ForeignFile, options: ForeignOptions, size: tuple[int, int] | None) -> Picture:
    """Find the input, its layout and the size to work at.

    Raises:
        BuildError: several inputs, or one that is not a colour picture.
        SizeError: no size is given and the file leaves it open, or it is not the file's.
    """
    value = _only_input(file)
    kind = value.type.tensor_type.elem_type
    sides = [one.dim_value or None for one in value.type.tensor_type.shape.dim]
    shape = "x".join(str(side or "?") for side in sides)
    if kind not in _KINDS or len(sides) != 4:
        type_name = _KINDS.get(kind, TensorProto.DataType.Name(kind).lower())
        raise BuildError(
            f"{file.path.name} takes {value.name} of {shape or 'unknown sizes'} {type_name}, "
            "expected pictures of 4 dimensions, floats or uint8; export it with such an input"
        )
    layout: Layout = options.layout or ("nhwc" if sides[3] == 3 and sides[1] != 3 else "nchw")
    channels = sides[1] if layout == "nchw" else sides[3]
    if channels not in {3, None}:
        raise BuildError(
            f"{file.path.name} takes {value.name} of {shape}, expected 3 channels (colour) in "
            f"{layout.upper()} order; give --layout if it has another order, else a network for "
            "colour pictures"
        )
    height, width = sides[2:] if layout == "nchw" else sides[1:3]
    width, height = _sized(file, (width, height), size)
    return Picture(value.name, layout, width, height, _KINDS[kind])


def _only_input(file: ForeignFile) -> ValueInfoProto:
    constants = {one.name for one in file.graph.initializer}
    inputs = [one for one in file.graph.input if one.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs) or "none"
        raise BuildError(
            f"{file.path.name} has {len(inputs)} inputs ({names}), expected one, the picture; "
            "export it with the others fixed"
        )
    value: ValueInfoProto = inputs[0]
    return value


def _sized(
    file: ForeignFile, own: tuple[int | None, int | None], asked: tuple[int, int] | None
) -> tuple[int, int]:
    if asked is None:
        if own[0] is None or own[1] is None:
            raise SizeError(
                f"{file.path.name} takes pictures of any size and --size was not given; give the "
                "size to work at, such as --size 480x360"
            )
        asked = (own[0], own[1])
    for side, fixed in zip(asked, own, strict=True):
        if fixed not in {None, side}:
            raise SizeError(
                f"--size {asked[0]}x{asked[1]} was given, {file.path.name} works at "
                f"{own[0] or 'any'}x{own[1] or 'any'} only; drop --size, or export it with free "
                "height and width"
            )
    if min(asked) < _SMALLEST or max(asked) > LARGEST_SIZE:
        raise SizeError(
            f"{file.path.name} would work at {asked[0]}x{asked[1]}, expected sides from "
            f"{_SMALLEST} to {LARGEST_SIZE}; give another --size"
        )
    return asked
