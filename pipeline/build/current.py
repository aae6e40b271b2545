"""The engine of a network: an existing one where a build would make the same again, else a new one.

Network, weights, preprocessing, classes, frames, calibration, and the versions of this project, of
the runtime and of PyTorch are compared with the manifest. Torch is imported only for a build.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from calibration.table import load_table
from models.atomic import sha256_of
from models.install import install_extra
from models.registry import model_spec
from models.weights import registered_table, registered_weights
from pipeline import __version__
from pipeline.build.default_precision import choose_precision
from pipeline.build.hooks import Hooks
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine, Manifest, load_engine
from pipeline.errors import AccuracyError, EngineError, RuntimeMissingError
from pipeline.graph.frame_sizes import USUAL_SIZES
from pipeline.runtimes.cache import cache_folder

log = logging.getLogger(__name__)

#: Where ``build`` leaves engines unless it is told otherwise.
ENGINES = Path("engines")


def engine_of(model: str, precision: str | None, hooks: Hooks) -> Engine:
    """Return the engine of a registered network with its registered weights.

    An engine in ``engines/`` or in the user's cache is used when it is current. A new one goes into
    the cache, since an engine of this name in ``engines/`` may have other weights.

    Raises:
        ModelError: there is no such network.
        RuntimeMissingError: it has to be built, and PyTorch is not installed.
        RoadsegError: as for a build.
    """
    model_spec(model)
    cache = cache_folder()
    output = ENGINES if cache is None else cache / "engines"
    # Engines in the cache may be replaced without asking.
    options = BuildOptions(model, precision=precision, output=output, force=cache is not None)
    chosen = (
        options if precision else replace(options, precision=choose_precision(options).precision)
    )
    stale = ""
    for folder in dict.fromkeys((ENGINES, output)):
        path = folder / f"{model}-{options.runtime}-{chosen.precision or 'fp32'}.json"
        if not path.is_file():
            continue
        try:
            engine = load_engine(path)
        except EngineError as error:
            log.info("%s", error)
            continue
        reason = why_not_current(engine.manifest)
        if reason is None:
            return engine
        stale = f" again ({reason})"
    hooks.say(f"building an engine of {model} for this machine{stale}")
    hooks.before()
    return build_engine(options, hooks)


def build_engine(options: BuildOptions, hooks: Hooks) -> Engine:
    """Build; without a precision in ``options`` in the fastest one whose accuracy is known.

    Where INT8 was chosen here and loses too much on the labelled pictures of ``options.data``, the
    engine is built in floating point.

    Raises:
        RuntimeMissingError: PyTorch is not installed.
        RoadsegError: as for a build.
    """
    try:
        from pipeline.build.build import build
    except ModuleNotFoundError as error:
        raise needs_torch(error) from error

    def made(options: BuildOptions) -> Engine:
        with hooks.progress() as progress:
            return build(options, progress)

    if options.precision is not None:
        return made(options)
    choice = choose_precision(options)
    hooks.say(choice.why)
    if choice.precision is None:
        return made(options)
    try:
        return made(replace(options, precision=choice.precision))
    except AccuracyError as error:
        hooks.say(f"{error}; building it in floating point")
        return made(options)


def needs_torch(error: ModuleNotFoundError) -> RuntimeMissingError:
    """Return the error for a build in an environment that can only run engines."""
    return RuntimeMissingError(
        f"building an engine needs PyTorch and its tools, {error.name} is not installed here; run: "
        f"{install_extra('build')}, or run an engine that was built elsewhere"
    )


def why_not_current(manifest: Manifest) -> str | None:
    """Say what would differ in a new build with the registered weights; None where nothing does."""
    differing = (name for name, found, expected in _compared(manifest) if found != expected)
    return next((f"{name} is no longer the same" for name in differing), None)


def _compared(manifest: Manifest) -> Iterator[tuple[str, Any, Any]]:
    """Yield what is compared: its name, the manifest's value, the value of a new build."""
    spec = model_spec(manifest.model)
    weights = registered_weights(spec.name)
    yield "network", dict(manifest.variant), dict(spec.variant)
    yield "preprocessing", manifest.input, spec.input
    yield "class set", manifest.classes, spec.classes
    sha256 = None if weights is None else sha256_of(weights)
    yield "weight file", manifest.weights.sha256, sha256
    yield "batch", manifest.frames.batch_range, (1, 1, 1)
    yield "range of frame sizes", manifest.frames.sizes, USUAL_SIZES
    settings = manifest.settings
    yield "version of roadseg", settings.get("roadseg"), __version__
    for package, recorded in (
        ("torch", settings.get("torch")),
        (manifest.runtime, manifest.runtime_version),
    ):
        if (installed := _installed(package)) is not None:
            given = (recorded or "").replace("+", "-").partition("-")[0]
            yield f"version of {package}", given, installed.replace("+", "-").partition("-")[0]
    if manifest.precision == "int8":
        table = registered_table(spec.name)
        known = load_table(table) if table.is_file() else None
        found = manifest.calibration or {}
        keys = ("frames", "method", "high_precision")
        expected = None if known is None else {**known.fingerprint, **known.to_json()}
        now = None if expected is None else [_plain(expected[key]) for key in keys]
        yield "calibration", [_plain(found.get(key)) for key in keys], now


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
