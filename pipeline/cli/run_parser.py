"""Arguments of ``run``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.values import (
    add_hint,
    amount,
    count,
    duration,
    fourcc,
    listed,
    port,
    positive,
    share,
    size,
)

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_SEVERAL = (
    "Several sources: each has its own output. out.mp4 becomes out-1.mp4, out-2.mp4 and so on, a "
    "folder of masks DIR becomes DIR/1, DIR/2, in the order of --source; http is one page with a "
    "tab per camera."
)


def add_run(commands: _Commands) -> argparse.ArgumentParser:
    """Add the command ``run``."""
    parser = commands.add_parser(
        "run",
        help="segment videos, pictures, cameras or the synthetic drive",
        epilog=_SEVERAL,
    )
    parser.add_argument(
        "engine",
        metavar="ENGINE|NETWORK|triton://HOST:PORT/NAME",
        help="engine file or its manifest; or a network, see 'models', whose engine is built or, "
        "where it is current, used again; or a model on a Triton server, see 'export-triton'",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "bf16", "int8"),
        help="of a NETWORK; default: the fastest one whose accuracy is known",
    )
    _sources(parser)
    _sinks(parser)
    _looks(parser)
    parser.add_argument(
        "--frames", type=positive, metavar="N", help="stop after N frames of each source"
    )
    add_hint(parser)
    _config(parser)
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="build the engine again from the bundle beside it where it cannot be loaded any more",
    )
    parser.add_argument(
        "--watch", action="store_true", help="load the engine again when its file is replaced"
    )
    parser.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="write what each thread did and when, for ui.perfetto.dev or chrome://tracing",
    )
    return parser


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="YAML",
        help="take options from a file, as --print-config writes it; the command line wins",
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print these options as such a file and run nothing",
    )


def _looks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how results are drawn")
    group.add_argument(
        "--smooth",
        action="store_true",
        help="steady classes over three frames: less flicker, less accurate where things move",
    )
    group.add_argument(
        "--fine-edges", action="store_true", help="draw outlines of classes without stairs"
    )
    group.add_argument(
        "--opacity",
        type=share,
        default=0.5,
        metavar="SHARE",
        help="of the class colours over the picture, 0 to 1; default: %(default)s",
    )
    group.add_argument("--no-legend", action="store_true", help="draw no class names and shares")
    group.add_argument(
        "--show",
        type=listed,
        metavar="Car,Pedestrian",
        help="draw these classes alone; what is counted and written stays whole",
    )
    group.add_argument(
        "--palette",
        choices=("clear", "camvid", "cityscapes", "colourblind"),
        help="colours of overlays and of the page; default: clear for CamVid's classes, else the "
        "class file's own. Masks keep the published colours",
    )


def check_run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse options that mean nothing together."""
    if options.engine.startswith("triton://") and (options.watch or options.rebuild):
        parser.error("run: --watch and --rebuild are for engines here; a server has its own")
    if options.keep and not options.segment:
        parser.error("run: --keep removes old segments; give --segment too")


def _sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        required=True,
        action="append",
        metavar="0|PATH|DIR|URL|synthetic",
        help="camera number or csi, video, picture, folder, stream (rtsp://, http://), "
        "stdin:WxH@FPS for raw BGR frames on standard input, or synthetic[:WxH]; may be repeated",
    )
    parser.add_argument(
        "--realtime", action="store_true", help="play a file at its own rate, as if live"
    )
    parser.add_argument(
        "--loop", action="store_true", help="begin a file again at its end, until a signal"
    )
    parser.add_argument(
        "--every", type=positive, default=1, metavar="N", help="one of N frames of a file"
    )
    parser.add_argument(
        "--start",
        type=duration,
        default=0.0,
        metavar="T",
        help="begin a video so late, such as 90s or 2m",
    )
    parser.add_argument(
        "--retries",
        type=count,
        metavar="N",
        help="connect a lost camera again N times at most; default: for ever",
    )
    parser.add_argument("--camera-size", type=size, metavar="WxH", help="asked of a camera")
    parser.add_argument("--camera-fps", type=positive, metavar="N", help="asked of a camera")
    parser.add_argument(
        "--camera-format", type=fourcc, metavar="FOURCC", help="asked of a camera, such as MJPG"
    )


def _sinks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sink",
        action="append",
        default=[],
        metavar="PATH|window|http|none",
        help="overlays as video (.mp4, .mkv), picture (.png, .jpg) or folder of pictures "
        "(overlays:DIR); masks in colour (DIR or masks:DIR) or as class indices "
        "(masks-index:DIR); statistics (.jsonl), zones and alerts "
        "(zones:FILE.yaml), a window, a page (http), a network video (rtsp://, udp://), class maps "
        "for another process (socket:PATH), none; may be repeated",
    )
    parser.add_argument("--force", action="store_true", help="replace files that are not ours")
    parser.add_argument(
        "--segment",
        type=duration,
        metavar="T",
        help="go on in a new video file after a time such as 10m",
    )
    parser.add_argument(
        "--keep",
        type=amount,
        metavar="SIZE",
        help="with --segment: remove the oldest files when all take more than such as 50GB",
    )
    parser.add_argument(
        "--http-host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where the page can be reached; default: %(default)s, this machine only",
    )
    parser.add_argument(
        "--http-port", type=port, default=8080, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--http-token", metavar="TEXT", help="what a visitor of the page has to know"
    )
