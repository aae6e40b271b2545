"""An engine as a model of a Triton server: files, configuration, labels, manifest."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.engine.manifest import Engine, write_manifest
from pipeline.engine.replace import Origin, check_replaceable
from pipeline.errors import EngineError, OutputError
from pipeline.runtimes.triton.client import check_config
from pipeline.runtimes.triton.config import Serving, model_config, to_text

#: Runtime of an engine -> backends of the server that run it; the first is the default.
BACKENDS = {"openvino": ("openvino", "python"), "tensorrt": ("tensorrt",)}


@dataclass(frozen=True)
class Exported:
    """An export.

    Attributes:
        folder: of the model, in the repository.
        backend: of the server.
        checked: whether the configuration was checked with Triton's own definitions, which come
            with the extra ``triton``.
    """

    folder: Path
    backend: str
    checked: bool


@dataclass(frozen=True)
class ExportOptions:
    """How a model is to be served.

    Attributes:
        repository: folder of the server's models.
        name: of the model.
        backend: None for the runtime's default.
        instances: copies that compute in parallel.
        force: replace files that are not an export of the same weights and classes.
    """

    repository: Path
    name: str
    backend: str | None = None
    instances: int = 1
    force: bool = False


def export_model(engine: Engine, options: ExportOptions) -> Exported:
    """Write ``REPOSITORY/NAME``, whole or not at all.

    Raises:
        EngineError: no backend of Triton runs this engine.
        OutputError: other files are there, or it cannot be written.
    """
    backend = _backend(engine.manifest.runtime, options.backend)
    settings: Mapping[str, str] | None = None
    if backend == "python":
        from pipeline.runtimes.openvino.core import usual_settings  # OpenVINO, only for this

        settings = usual_settings(engine.manifest.precision)
    serving = Serving(options.name, backend, options.instances, settings)
    text = to_text(model_config(engine.manifest, serving)) + "\n"
    checked = check_config(text)
    folder = options.repository / options.name
    try:
        _check_ours(folder, engine, options)
        _write(engine, folder, serving, text)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror or error}); choose another --output"
        ) from error
    return Exported(folder, backend, checked)


def _backend(runtime: str, wanted: str | None) -> str:
    known = BACKENDS.get(runtime)
    if known is None:
        raise EngineError(
            f"Triton has no backend for {runtime} engines, it runs those of "
            f"{' and '.join(BACKENDS)}; build with --runtime tensorrt on the server's machine"
        )
    if wanted is not None and wanted not in known:
        raise EngineError(
            f"--backend {wanted} was given for a {runtime} engine, which runs on "
            f"{' or '.join(known)}; give one of these"
        )
    return wanted or known[0]


def _check_ours(folder: Path, engine: Engine, options: ExportOptions) -> None:
    manifest = folder / f"{options.name}.json"
    if folder.exists() and not options.force:
        if not manifest.exists() and any(folder.iterdir()):
            raise OutputError(
                f"{folder} holds files and no export of roadseg; give another --name, or replace "
                "it with --force"
            )
        origin = Origin.of(engine.manifest)
        check_replaceable(folder, options.name, (), options.force, origin)


def _write(engine: Engine, folder: Path, serving: Serving, text: str) -> None:
    """Write the model beside the repository, where no server looks, and move it into it."""
    repository = folder.parent
    repository.mkdir(parents=True, exist_ok=True)
    partial = repository.resolve().parent / f".{serving.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    version = partial / "1"
    version.mkdir(parents=True)
    try:
        for place, name in enumerate(_names(serving.backend)):
            (version / name).write_bytes(engine.read(place))
        if serving.backend == "python":
            code = Path(__file__).with_name("python_model.py").read_text(encoding="utf-8")
            (version / "model.py").write_text(code, encoding="utf-8")
        names = "".join(f"{name}\n" for name in engine.manifest.classes.names)
        (partial / "labels.txt").write_text(names, encoding="utf-8")
        (partial / "config.pbtxt").write_text(text, encoding="utf-8")
        written = write_manifest(partial, engine.manifest)
        written.rename(partial / f"{serving.name}.json")
        _swap(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _names(backend: str) -> tuple[str, ...]:
    return ("model.plan",) if backend == "tensorrt" else ("model.xml", "model.bin")


def _swap(partial: Path, folder: Path) -> None:
    old = partial.with_name(f"{partial.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        with suppress(OSError):
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
