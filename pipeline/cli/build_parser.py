"""Arguments of ``build``."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli.values import (
    Commands,
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

#: Options that are fixed in a bundle.
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


def add_build(commands: Commands) -> argparse.ArgumentParser:
    """Add the command and its arguments."""
    parser = commands.add_parser("build", help="compile a network into an engine with a manifest")
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL|BUNDLE",
        help="name of a network (see 'models'), or a bundle that --bundle made",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "bf16", "int8", "auto"),
        help="auto builds all that this machine runs and keeps the fastest that is accurate "
        "enough; default: INT8 if weights and calibration table are registered and this machine "
        "gains from it, else the runtime's own",
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
        help="also write NAME.bundle.zip, from which another machine builds its engine without "
        "PyTorch; only the bundle if the runtime is not installed here",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("engines"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--name",
        type=engine_name,
        metavar="NAME",
        help="start of the engine's file names, before runtime and precision; default: the "
        "network's name",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace files that roadseg did not write, or an engine of other weights or classes",
    )
    return parser


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=size, metavar="WxH", help="input size of the network")
    parser.add_argument(
        "--batch",
        type=batch,
        metavar="1:4:8",
        help="smallest, usual and largest number of frames in one run, or one number; default: 1",
    )
    parser.add_argument(
        "--frame-sizes",
        type=sizes,
        metavar="WxH:WxH:WxH",
        help="smallest, usual and largest frame of the camera; TensorRT optimises for the second "
        "and reserves memory for the last; default: 64x64:1280x720:3840x3840",
    )
    parser.add_argument(
        "--output-stride", type=positive, metavar="N", help="for networks that support several"
    )
    parser.add_argument(
        "--weights", metavar="NAME|PATH|none", help="default: the registered weights"
    )


def _add_foreign(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "networks of other projects", "instead of MODEL; see docs/foreign-networks.md"
    )
    group.add_argument(
        "--onnx", type=Path, metavar="FILE", help="segmentation network, in floating point"
    )
    group.add_argument(
        "--classes",
        type=Path,
        metavar="FILE|NAME",
        help="camvid, cityscapes, voc, or a file with a line 'NAME [R,G,B]' per output channel; "
        "a class named void is never scored",
    )
    for name in ("mean", "std"):
        group.add_argument(
            f"--{name}",
            type=colour,
            metavar="R,G,B",
            help="of the input, in grey levels 0 to 255, in the order of --order; default: "
            "ImageNet's",
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
        help="name of the logits, any tensor of the file; default: found from its outputs",
    )
    group.add_argument(
        "--threshold",
        type=float,
        metavar="VALUE",
        help="for an output with one channel: values above it mean the second class, such as 0.5 "
        "for probabilities; default: read from the file",
    )
    _add_import_limits(group)


def _add_import_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--import-memory",
        type=amount,
        default=4 << 30,
        metavar="SIZE",
        help="memory that reading the file may take; default: 4GB",
    )
    group.add_argument(
        "--import-seconds",
        type=positive,
        default=120,
        metavar="N",
        help="seconds of processor time that reading the file may take; default: %(default)s",
    )


def _add_int8(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR|VIDEO|TABLE",
        help="road scenes or a table to calibrate INT8 with; default: the registered table",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="labelled folder to measure mIoU on, or pictures to measure agreement with FP32 on",
    )
    parser.add_argument(
        "--max-miou-drop",
        type=points,
        metavar="POINTS",
        help="mIoU that INT8 may lose on --data, in percentage points; default: 0.5",
    )
    parser.add_argument(
        "--high-precision",
        type=layers,
        default=(),
        metavar="LAYER,LAYER",
        help="convolutions to keep out of INT8, by name or by the start of it",
    )


def _add_tensorrt(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("TensorRT")
    group.add_argument(
        "--target",
        type=names,
        default=(),
        metavar="sm86,sm89",
        help="GPU architectures to build for; default: Ampere and later; give sm75 (Turing) alone",
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
        help="GPU memory that one layer may use, such as 512MB; small Jetsons need a limit",
    )
    group.add_argument(
        "--version-compatible",
        action="store_true",
        help="the engine also runs on later versions of TensorRT; it is larger, loses some "
        "fusions, and contains code that is run when it is loaded (docs/tensorrt.md)",
    )
    group.add_argument(
        "--ampere-plus",
        action="store_true",
        help="the engine runs on every GPU from Ampere on, not only on this model; slower",
    )


def check_build(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse options that do not apply to the network or the bundle."""
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
