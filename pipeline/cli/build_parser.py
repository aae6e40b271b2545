"""Arguments of ``build``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.values import (
    amount,
    batch,
    colour,
    engine_name,
    layers,
    names,
    points,
    positive,
    size,
    sizes,
)
from pipeline.runtimes.registry import COMPILERS

#: Options that a bundle has decided already.
_OF_A_NETWORK = (
    "precision",
    "size",
    "batch",
    "output_stride",
    "weights",
    "calibration",
    "data",
    "max_miou_drop",
    "front_end",
    "name",
)
#: Options of networks in ONNX files, and those that only our own have.
_OF_FOREIGN = ("classes", "mean", "std", "order", "layout", "output_name", "threshold")
_OF_OURS = ("output_stride", "weights")

if TYPE_CHECKING:  # argparse has no public name for it, and no generic one at run time
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_build(commands: _Commands) -> argparse.ArgumentParser:
    """Add the command and its arguments."""
    parser = commands.add_parser("build", help="compile a network into an engine with a manifest")
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL|BUNDLE",
        help="network, see 'models', or what --bundle left, to build its engine here",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "bf16", "int8", "auto"),
        help="auto measures what this machine can run and keeps the fastest that is accurate "
        "enough; default: the fastest one whose accuracy is known, INT8 where weights and "
        "calibration table are registered and this machine gains from it, else the runtime's",
    )
    parser.add_argument(
        "--runtime",
        choices=tuple(COMPILERS),
        help="default: openvino, or the one that the bundle was made for",
    )
    _add_network(parser)
    _add_foreign(parser)
    _add_int8(parser)
    _add_tensorrt(parser)
    parser.add_argument(
        "--bundle",
        action="store_true",
        help="also leave NAME.bundle.zip, from which another machine builds its own engine without "
        "torch; the bundle alone where the runtime is not installed",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("engines"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--name",
        type=engine_name,
        metavar="NAME",
        help="of the engine's files, before runtime and precision; default: the network's",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace files that are not ours, or an engine of other weights or classes",
    )
    return parser


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=size, metavar="WxH", help="size the network works on")
    parser.add_argument(
        "--batch",
        type=batch,
        metavar="1:4:8",
        help="fewest, usual and most frames in one run, or one number; default: 1",
    )
    parser.add_argument(
        "--frame-sizes",
        type=sizes,
        metavar="WxH:WxH:WxH",
        help="smallest, usual and largest frame of the camera; TensorRT tunes for the second and "
        "holds memory for the last; default: 64x64:1280x720:3840x3840",
    )
    parser.add_argument(
        "--output-stride", type=positive, metavar="N", help="of networks that leave a choice"
    )
    parser.add_argument(
        "--weights", metavar="NAME|PATH|none", help="default: the best registered ones"
    )


def _add_foreign(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "networks of other projects", "in place of MODEL; docs/foreign-networks.md tells more"
    )
    group.add_argument(
        "--onnx", type=Path, metavar="FILE", help="segmentation network, in floating point"
    )
    group.add_argument(
        "--classes",
        type=Path,
        metavar="FILE|NAME",
        help="camvid, cityscapes, voc, or a file with a line 'NAME [R,G,B]' per output channel; "
        "one named void is never scored",
    )
    for name in ("mean", "std"):
        group.add_argument(
            f"--{name}",
            type=colour,
            metavar="R,G,B",
            help="of the input, grey levels 0 to 255, in the order of --order; default: ImageNet's",
        )
    group.add_argument(
        "--order", choices=("rgb", "bgr"), help="channels that the network expects; default: rgb"
    )
    group.add_argument(
        "--layout", choices=("nchw", "nhwc"), help="of the input; default: read from the file"
    )
    group.add_argument(
        "--output-name",
        metavar="TENSOR",
        help="logits, any tensor of the file; default: found from its outputs",
    )
    group.add_argument(
        "--threshold",
        type=float,
        metavar="VALUE",
        help="of an output with one channel: above it the second class is meant, such as 0.5 for a "
        "probability; default: read from the file",
    )
    _add_import_limits(group)


def _add_import_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--import-memory",
        type=amount,
        default=4 << 30,
        metavar="SIZE",
        help="what reading the file may take; default: 4GB",
    )
    group.add_argument(
        "--import-seconds",
        type=positive,
        default=120,
        metavar="N",
        help="of a processor's time, likewise; default: %(default)s",
    )


def _add_int8(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR|VIDEO|TABLE",
        help="road scenes for INT8; default: the table of the registered weights",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="labelled folder to measure mIoU on, or pictures alone to measure agreement on",
    )
    parser.add_argument(
        "--max-miou-drop",
        type=points,
        metavar="POINTS",
        help="what INT8 may lose on --data, in percentage points; default: 0.5",
    )
    parser.add_argument(
        "--high-precision",
        type=layers,
        default=(),
        metavar="LAYER,LAYER",
        help="convolutions, or beginnings of their names, that stay out of INT8",
    )


def _add_tensorrt(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("TensorRT")
    group.add_argument(
        "--target",
        type=names,
        default=(),
        metavar="sm86,sm89",
        help="GPU architectures to build for; default: Ampere and later; sm75 (Turing) only alone",
    )
    group.add_argument(
        "--front-end",
        choices=("onnx", "torch-tensorrt"),
        help="how TensorRT gets the network; default: torch-tensorrt where it is installed",
    )
    group.add_argument(
        "--workspace",
        type=amount,
        metavar="SIZE",
        help="most GPU memory of one layer, such as 512MB; small Jetsons need a limit",
    )
    group.add_argument(
        "--version-compatible",
        action="store_true",
        help="the engine also runs on later versions of TensorRT; larger, some fusions are lost, "
        "and it brings code that whoever loads it runs (docs/tensorrt.md)",
    )
    group.add_argument(
        "--ampere-plus",
        action="store_true",
        help="the engine runs on every GPU from Ampere on, not only on this kind; slower",
    )


def check_build(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse options of one kind of network, or of a bundle, where another is built."""
    _check_foreign(parser, options)
    model = options.model or ""
    if options.high_precision and options.precision in {"fp32", "fp16", "bf16"}:
        parser.error("build: --high-precision is an option of --precision int8")
    options.from_bundle = model.endswith(".zip") or "/" in model
    if options.from_bundle:
        given = [name for name in _OF_A_NETWORK if getattr(options, name) is not None]
        if given or options.bundle:
            name = (given or ["bundle"])[0].replace("_", "-")
            parser.error(f"build: --{name} was decided when the bundle was made")


def _check_foreign(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if (options.model is None) == (options.onnx is None):
        parser.error("build: give one of MODEL, a bundle and --onnx FILE")
    unwanted = _OF_OURS if options.onnx else _OF_FOREIGN
    given = [name for name in unwanted if getattr(options, name) is not None]
    if given:
        owner = "networks of this project" if options.onnx else "--onnx"
        parser.error(f"build: --{given[0].replace('_', '-')} is an option of {owner}")
    if options.onnx and options.classes is None:
        parser.error("build: --onnx needs --classes FILE with a line per output channel")
