"""What is fuzzed: an intact file of each format, how it is damaged, how the program reads it."""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from fuzz_mutations import (
    Mutation,
    damage_bytes,
    damage_json,
    damage_text,
    damage_zip,
)
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from calibration.scenes.class_file import read_classes
from calibration.scenes.dataset import read_label, read_picture
from calibration.table import load_table
from models.classes import CAMVID
from models.pretrained import encoder_state
from models.registry import build_model, model_spec
from models.weights import as_trained, load_weights, save_weights
from pipeline.build.bundle import open_bundle
from pipeline.cli.inspect import run as inspect
from pipeline.cli.parser import parse_arguments
from pipeline.errors import SourceError
from pipeline.graph.onnx_import import open_foreign
from pipeline.graph.onnx_import.options import ForeignOptions
from pipeline.stream.sources import SourceOptions, open_source
from pipeline.stream.zones import read_zones
from pipeline.train.checkpoint import load_checkpoint
from pipeline.train.curves import draw_curves
from pipeline.train.recipe import Recipe
from pipeline.train.runlog import RunLog
from pipeline.train.trainer import RunSettings, Trainer

WHOLE = Path(__file__).parents[1] / "data" / "before_layout"
_NARROW = replace(model_spec("segnet_lite"), variant={"width": 1 / 64})


@dataclass(frozen=True)
class Subject:
    """One format.

    Attributes:
        name: of the file.
        make: its intact bytes.
        damage: from intact bytes and a random generator to damaged ones.
        read: as the program reads a file; RoadsegError is the only error that it may raise.
        beside: files in the same folder.
        may_die: outside these tests it is read in a child process that may be killed.
    """

    name: str
    make: Callable[[], bytes]
    damage: Mutation
    read: Callable[[Path], object]
    beside: tuple[str, ...] = ()
    may_die: bool = False


def _kept(name: str) -> Callable[[], bytes]:
    return lambda: (WHOLE / name).read_bytes()


@cache
def _network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(_NARROW)


def _inspect(path: Path) -> None:
    outcome = inspect(argparse.Namespace(engine=path))
    json.dumps(outcome.document)


def _bundle(path: Path) -> None:
    with open_bundle(path):
        pass


def _weights_file() -> bytes:
    path = Path("whole.safetensors")
    save_weights(path, _NARROW, _network().state_dict())
    return path.read_bytes()


def _weights(path: Path) -> None:
    spec = as_trained(_NARROW, str(path))
    if len(spec.classes) == len(_NARROW.classes):
        load_weights(build_model(_NARROW), spec, str(path))


def _encoder_file() -> bytes:
    path = Path("whole-encoder.safetensors")
    save_file({"features.0.weight": torch.ones(4, 3, 3, 3)}, path)
    return path.read_bytes()


def _pickled_file() -> bytes:
    packed = io.BytesIO()
    torch.save({"features.0.weight": torch.ones(4, 3, 3, 3)}, packed)
    return packed.getvalue()


def _checkpoint(path: Path) -> None:
    load_checkpoint(path, "segnet_lite")
    recipe = Recipe(steps=4, batch=2, crop=(64, 64), warmup=1, validate_every=2)
    trainer = Trainer(
        _NARROW, build_model(_NARROW), recipe, RunSettings(path.parent), torch.ones(11)
    )
    trainer.resume()


def _log_file() -> bytes:
    rows = [{"step": n, "seconds": 1.0, "loss": 2.0, "rate": 0.1} for n in range(20)]
    rows.append({"step": 20, "seconds": 9.0, "miou": 0.5})
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _damage_lines(content: bytes, dice: random.Random) -> bytes:
    lines = content.splitlines()
    at = dice.randrange(len(lines))
    lines[at] = damage_json(lines[at], dice)
    return b"\n".join(lines)


def _log(path: Path) -> None:
    log = RunLog(path)
    log.cut(15)
    draw_curves("a run", log.rows())


def _classes_file() -> bytes:
    return b"# classes\nroad 128,64,128\ntraffic sign [1,2,3]\ncar\nvoid\n"


def _picture(suffix: str) -> Callable[[], bytes]:
    def make() -> bytes:
        noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
        return cv2.imencode(suffix, noise)[1].tobytes()

    return make


def _label_file() -> bytes:
    return cv2.imencode(".png", np.arange(48 * 64, dtype=np.uint8).reshape(48, 64) % 11)[
        1
    ].tobytes()


def _video(suffix: str) -> Callable[[], bytes]:
    def make() -> bytes:
        path = f"whole{suffix}"
        kind = "mp4v" if suffix == ".mp4" else "MJPG"
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*kind), 10, (64, 48))
        for index in range(5):
            writer.write(np.full((48, 64, 3), index * 40, np.uint8))
        writer.release()
        return Path(path).read_bytes()

    return make


def _source(path: Path) -> None:
    with open_source(str(path), SourceOptions()) as source:
        for _ in range(20):
            if source.read() is None:
                break


def _playlist() -> bytes:
    return b"ffconcat version 1.0\nfile secret.mp4\n"


def _listed(path: Path) -> None:
    """A list of other files is not a video, whatever it looks like."""
    try:
        _source(path)
    except SourceError:
        return
    raise AssertionError("a playlist opened a file beside it")


def _damage_playlist(_content: bytes, dice: random.Random) -> bytes:
    heads = (
        "ffconcat version 1.0\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n",
        "v=0\n",
        "",
    )
    lines = ("file secret.mp4\n", "file 'secret.mp4'\n", "secret.mp4\n", "concat:secret.mp4\n")
    return (dice.choice(heads) + dice.choice(lines) * dice.choice((1, 2, 9))).encode()


def _onnx_file() -> bytes:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    sides = [1, 3, 32, 32]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, sides)],
        [numpy_helper.from_array(kernel, "k")],
    )
    opset = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())


def _damage_onnx(content: bytes, dice: random.Random) -> bytes:
    """Change numbers and names of the graph, so that it mostly stays valid protobuf."""
    if dice.random() < 0.4:
        return damage_bytes(content, dice)
    model = onnx.load_from_string(content)
    graph = model.graph
    kind = dice.randrange(6)
    if kind == 0:
        graph.initializer[0].dims[dice.randrange(4)] = dice.choice((0, -1, 1, 2, 2**40))
    elif kind == 1:
        side = graph.input[0].type.tensor_type.shape.dim[dice.randrange(4)]
        side.dim_value = dice.choice((0, -1, 1, 5000, 2**40))
    elif kind == 2:
        graph.node[dice.randrange(2)].op_type = dice.choice(("Add", "Loop", "", "Nonsense", "If"))
    elif kind == 3:
        graph.node[dice.randrange(2)].input[0] = dice.choice(("", "y", "nothing", "\x1b[31m"))
    elif kind == 4:
        graph.node[0].attribute[0].ints[0] = dice.choice((-1, 2**31, -(2**62)))
    else:
        model.opset_import[0].version = dice.choice((-1, 0, 1, 6, 2**40))
    return bytes(model.SerializeToString())


def _onnx(path: Path) -> None:
    classes = path.with_name("classes.txt")
    classes.write_text("road\ncar\nsky\n")
    open_foreign(ForeignOptions(path, classes, (0,) * 3, (1,) * 3), None)


_OPTIONS: tuple[Sequence[str], ...] = (
    ("run", "engine", "--source", "synthetic", "--frames", "VALUE"),
    ("run", "engine", "--source", "synthetic", "--segment", "VALUE", "--keep", "VALUE"),
    ("run", "engine", "--source", "synthetic", "--camera-size", "VALUE", "--camera-fps", "VALUE"),
    ("run", "engine", "--source", "synthetic", "--retries", "VALUE", "--http-port", "VALUE"),
    ("run", "VALUE", "--source", "synthetic", "--trace", "VALUE", "--camera-format", "VALUE"),
    ("build", "segnet", "--size", "VALUE", "--batch", "VALUE", "--frame-sizes", "VALUE"),
    ("build", "--onnx", "VALUE", "--classes", "VALUE", "--mean", "VALUE", "--std", "VALUE"),
    ("build", "segnet", "--target", "VALUE", "--max-miou-drop", "VALUE", "--weights", "VALUE"),
    ("train", "segnet", "--data", "VALUE", "--rate", "VALUE", "--steps", "VALUE"),
    ("train", "segnet", "--data", "VALUE", "--crop", "VALUE", "--synthetic", "VALUE"),
    ("train", "segnet", "--data", "x", "--seed", "VALUE", "--threads", "VALUE"),
)  # fmt: skip
_GIVEN = (
    "", " ", "0", "-1", "1", "9" * 30, "9" * 5000, "1e999", "nan", "inf", "0x10", "²", "٣", "1x1",
    "0x0", "-5x7", "9999999999x1", "x", "1:2:3", "3:2:1", "1:1:1000000000", "a" * 300, "a/" * 3000,
    "../..", "\x1b[31m", "é", "\udcff", "10m", "1h", "9" * 400 + "h", "50GB", "9" * 400 + "TB",
    "64x64:64x64:64x64", "0,0,0", "nan,nan,nan", "1,2", "sm86,", "\u202e", "-", "--", "MJPG", "%s",
)  # fmt: skip


def _command_line() -> bytes:
    return json.dumps(_OPTIONS[0]).encode()


def _damage_command_line(_content: bytes, dice: random.Random) -> bytes:
    words = [dice.choice(_GIVEN) if w == "VALUE" else w for w in dice.choice(_OPTIONS)]
    return json.dumps(words).encode()


def _parse(path: Path) -> None:
    said = io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(said):
            parse_arguments(json.loads(path.read_bytes()))
    except SystemExit as left:
        if left.code not in {0, 2}:
            raise AssertionError(f"status {left.code}") from left


def _config_file() -> bytes:
    return (
        b"engine: net.xml\nsource: [synthetic, '0']\nsink:\n  - out.mp4\nframes: 20\nsmooth: true\n"
    )


def _damage_yaml(content: bytes, dice: random.Random) -> bytes:
    lines = content.decode().splitlines()
    strange = (
        "frames: " + "[" * 5000, "frames: &a [1, *a]", "? [1]: 2", "- x", "sink: {a: b}", "1: 2",
        "frames: 1e999", "engine: !!python/object:os.system x", "config: x.yml", "frames: null",
        "frames: " + "9" * 5000, "\tx: y", "%YAML 9.9",
        "a: &a [x]\nb: &b [*a, *a]\nsource: [*b, *b]",
    )  # fmt: skip
    if dice.random() < 0.4:
        return damage_bytes(content, dice)
    at = dice.randrange(len(lines))
    lines[at : at + dice.randrange(2)] = [dice.choice(strange)]
    return "\n".join(lines).encode()


def _config(path: Path) -> None:
    path.with_name("words.json").write_text(json.dumps(["run", "--config", str(path)]))
    _parse(path.with_name("words.json"))


def _zones_file() -> bytes:
    return (
        b"zones:\n  - name: crossing\n    polygon: [[0, 1], [1, 1], [0.5, 0]]\n"
        b"    classes: [Car]\n    above: 2%\n    seconds: 1.5\n    source: '1'\n"
        b"webhook: http://127.0.0.1:9/\nlines: zones.jsonl\nheaders: {A: b}\n"
    )


_ARCHIVE = damage_zip({"manifest.json": damage_json, "calibration.json": damage_json})
SUBJECTS = {
    "manifest": Subject(
        "tiny-openvino-int8.json",
        _kept("tiny-openvino-int8.json"),
        damage_json,
        _inspect,
        ("tiny-openvino-int8.xml", "tiny-openvino-int8.bin"),
    ),
    "bundle": Subject("a.bundle.zip", _kept("tiny-tensorrt-int8.bundle.zip"), _ARCHIVE, _bundle),
    "table": Subject(
        "t.json", _kept("tiny-openvino-int8.calibration.json"), damage_json, load_table
    ),
    "checkpoint": Subject("checkpoint.pt", _kept("checkpoint.pt"), damage_zip({}), _checkpoint),
    "weights": Subject("w.safetensors", _weights_file, damage_bytes, _weights),
    "encoder": Subject(
        "e.safetensors", _encoder_file, damage_bytes, lambda path: encoder_state("vgg16", str(path))
    ),
    "pickled encoder": Subject(
        "e.pth", _pickled_file, damage_zip({}), lambda path: encoder_state("vgg16", str(path))
    ),
    "run log": Subject("log.jsonl", _log_file, _damage_lines, _log),
    "classes": Subject("classes.txt", _classes_file, damage_text, read_classes),
    "PNG": Subject("p.png", _picture(".png"), damage_bytes, read_picture),
    "JPEG": Subject("p.jpg", _picture(".jpg"), damage_bytes, read_picture),
    "WebP": Subject("p.webp", _picture(".webp"), damage_bytes, read_picture),
    "TIFF": Subject("p.tiff", _picture(".tiff"), damage_bytes, read_picture),
    "label": Subject("l.png", _label_file, damage_bytes, lambda path: read_label(path, CAMVID)),
    "MP4": Subject("v.mp4", _video(".mp4"), damage_bytes, _source),
    "AVI": Subject("v.avi", _video(".avi"), damage_bytes, _source),
    "playlist": Subject("v.mp4", _playlist, _damage_playlist, _listed),
    "ONNX": Subject("net.onnx", _onnx_file, _damage_onnx, _onnx, may_die=True),
    "config": Subject("run.yml", _config_file, _damage_yaml, _config),
    "zones": Subject("zones.yaml", _zones_file, _damage_yaml, read_zones),
    "command line": Subject("words.json", _command_line, _damage_command_line, _parse),
}


def lay_out(subject: Subject, content: bytes, folder: Path) -> Path:
    """Write a damaged file with the files beside it."""
    for name in subject.beside:
        shutil.copy(WHOLE / name, folder / name)
    path = folder / subject.name
    path.write_bytes(content)
    return path
