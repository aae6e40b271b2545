"""A portable bundle: what another machine needs to build its own engine, without torch.

An engine is tied to a TensorRT version, a GPU and an operating system. A bundle is not: it is one
zip file, ``NAME.bundle.zip``, with the ONNX file that the compiler reads (Q/DQ pairs in it where it
is INT8), the parts of the manifest that are known before an engine is built, and the calibration
table.
``roadseg build NAME.bundle.zip`` makes the engine.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from models.atomic import atomic_path
from models.bounded import in_words
from models.scratch import scratch_folder
from pipeline.engine.manifest import (
    BUNDLE,
    MOST_BYTES,
    Engine,
    LayerPrecisions,
    Manifest,
    describe_file,
    parse_manifest,
    read_manifest,
    read_verified,
)
from pipeline.engine.records import Accuracy
from pipeline.engine.replace import Origin
from pipeline.errors import EngineError, OutputError, translated

SUFFIX = ".bundle.zip"
#: Names in a bundle, whatever the network.
_ONNX, _MANIFEST, _TABLE = "graph.onnx", "manifest.json", "calibration.json"
#: Most bytes of a calibration table; the ONNX file's size is in the manifest.
_LARGEST_TABLE = 64 << 20
_BLOCK = 1 << 20


def bundle_of(engine: Engine) -> Path:
    """Return the path of an engine's bundle, which need not exist."""
    return engine.folder / f"{engine.manifest.name}{SUFFIX}"


def onnx_convolutions(path: Path) -> LayerPrecisions:
    """List the convolutions of an ONNX file with the precision that each is meant for."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    makers = {output: node for node in model.graph.node for output in node.output}
    types = {value.name: value.data_type for value in model.graph.initializer}
    names = {onnx.TensorProto.FLOAT: "fp32", onnx.TensorProto.FLOAT16: "fp16"}
    found = {}
    for node in model.graph.node:
        if node.op_type not in {"Conv", "ConvTranspose"}:
            continue
        weight, precision = node.input[1], ""
        while weight in makers:
            precision = "int8" if makers[weight].op_type == "DequantizeLinear" else precision
            weight = makers[weight].input[0]
        found[node.name] = precision or names[types[weight]]
    return LayerPrecisions("onnx", found)


def write_bundle(engine: Engine, onnx: Path, folder: Path) -> Path:
    """Write ``NAME.bundle.zip`` to ``folder``, without what was measured on this machine.

    ``engine`` was built from the file ``onnx``, or is the draft of such an engine.
    """
    manifest = engine.manifest
    accuracy = Accuracy(**(manifest.accuracy or {}))
    accuracy.pop("parity", None)
    portable = replace(
        manifest,
        files=(replace(describe_file(onnx), name=_ONNX),),
        layers=onnx_convolutions(onnx),
        runtime_version="",
        targets=(),
        accuracy=accuracy or None,
        latency_ms=None,
        warnings=(),
        settings={key: manifest.settings[key] for key in ("torch", "resize")},
    )
    path = folder / f"{manifest.name}{SUFFIX}"
    table = engine.folder / f"{manifest.name}.calibration.json"
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.write(onnx, _ONNX, zipfile.ZIP_DEFLATED)
        if table.exists():
            archive.write(table, _TABLE, zipfile.ZIP_DEFLATED)
        archive.writestr(_MANIFEST, json.dumps(portable.to_json(BUNDLE), indent=2) + "\n")
    return path


def check_bundle(folder: Path, name: str, force: bool, origin: Origin) -> None:
    """Refuse to replace a bundle of other weights or classes, unless ``force``.

    Raises:
        OutputError: there is such a bundle.
    """
    path = folder / f"{name}{SUFFIX}"
    if force or not path.exists():
        return
    try:
        with zipfile.ZipFile(path) as archive:
            old = Origin.of(parse_manifest(json.loads(archive.read(_MANIFEST))))
    except (zipfile.BadZipFile, OSError, KeyError, ValueError):
        old = None
    if old is None or not origin.same_as(old):
        raise OutputError(
            f"{path} is of other weights or classes, or damaged; give the new bundle another name "
            "with --name or another folder with --output, or replace the old one with --force"
        )


@contextmanager
def open_bundle(path: Path) -> Iterator[tuple[Manifest, Path, Path | None]]:
    """Verify a bundle, packed or unpacked.

    Yields:
        Its manifest, the ONNX file, and the calibration table where there is one.

    Raises:
        EngineError: missing, damaged, or not a bundle.
    """
    if not path.exists():
        raise EngineError(
            f"bundle {path} not found, expected a file that 'build --bundle' wrote; check the path"
        )
    with scratch_folder("roadseg-bundle-") as scratch:
        folder = path
        if not path.is_dir():
            folder = scratch
            _unpack(path, folder)
        manifest = read_verified(folder / _MANIFEST, BUNDLE).manifest
        table = folder / _TABLE
        yield manifest, folder / _ONNX, table if table.exists() else None


def _unpack(path: Path, folder: Path) -> None:
    """Unpack the known members, each up to a limit: sizes in the archive are not trusted."""
    # zipfile, its decompressors and struct each have errors of their own.
    remedy = "it is damaged or cut, copy it again"
    problem = f"bundle {path} cannot be unpacked"
    with translated(EngineError, problem, remedy), zipfile.ZipFile(path) as archive:
        present = set(archive.namelist())
        if not {_ONNX, _MANIFEST} <= present:
            raise EngineError(
                f"{path} is a zip file without {_ONNX} and {_MANIFEST}, expected one that "
                "'build --bundle' wrote; make it again"
            )
        _take(archive, _MANIFEST, folder, MOST_BYTES)
        files = read_manifest(folder / _MANIFEST, BUNDLE).files
        if [file.name for file in files] != [_ONNX]:
            raise EngineError(
                f"the manifest of bundle {path} names other files than {_ONNX}; make it again"
            )
        _take(archive, _ONNX, folder, files[0].bytes)
        if _TABLE in present:
            _take(archive, _TABLE, folder, _LARGEST_TABLE)


def _take(archive: zipfile.ZipFile, name: str, folder: Path, most: int) -> None:
    """Unpack one member, refused where it has more than ``most`` bytes."""
    left = most
    with archive.open(name) as packed, (folder / name).open("wb") as target:
        while block := packed.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise EngineError(
                    f"{archive.filename}: {name} unpacks to more than the {in_words(most)} that it "
                    "may have; the bundle is damaged or forged, make it again"
                )
            target.write(block)
