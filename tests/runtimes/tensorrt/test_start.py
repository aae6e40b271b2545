"""How TensorRT starts, and the errors for engines that do not fit."""

from __future__ import annotations

import argparse
import gc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorrt_rtx as trt
from int8_builds import manifest

from pipeline.cli import run as run_command
from pipeline.engine.compatibility import GpuInfo
from pipeline.engine.manifest import Engine, describe_file
from pipeline.errors import EngineError, IncompatibleEngineError, RuntimeMissingError
from pipeline.runtimes.tensorrt.log import collecting_logger
from pipeline.runtimes.tensorrt.start import load_engine, start_runtime

GPU = GpuInfo("a GPU", "sm89", (12, 0))
DIAGNOSTICS = trt.EngineInvalidityDiagnostics
ERROR = trt.ILogger.Severity.ERROR


class Runtime:
    """Gives the answers it was created with."""

    engine_host_code_allowed = False

    def __init__(self, validity: tuple[Any, int], loaded: object, logger: Any = None) -> None:
        self.get_engine_validity = lambda content: validity
        self._loaded, self._logger = loaded, logger

    def deserialize_cuda_engine(self, content: bytes) -> object:
        if self._loaded is None:
            self._logger.log(ERROR, "Requested amount of GPU memory: OutOfMemory")
        return self._loaded


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    described = manifest(runtime="tensorrt-rtx")
    path = tmp_path / described.files[0].name
    path.write_bytes(b"engine")
    return Engine(replace(described, files=(describe_file(path),)), tmp_path)


VALID = (trt.EngineValidity.VALID, 0)


def test_a_driver_that_is_too_old_is_told_before_anything_is_called() -> None:
    """Like the lean runtime of TensorRT 11.4: an object, and the error only in the log."""
    logger = collecting_logger(trt)

    ended: list[str] = []

    class OverNothing:
        def __getattr__(self, name: str) -> Any:
            ended.append(name)

        def __del__(self) -> None:
            ended.append("freed")

    def made(logger: Any) -> OverNothing:
        logger.log(ERROR, "CUDA initialization failure with error: 35")
        return OverNothing()

    old = SimpleNamespace(Runtime=made, __version__="11.4.0")
    with pytest.raises(RuntimeMissingError, match=r"error: 35.* driver is for CUDA 12\.0: update"):
        start_runtime(old, logger, GPU)
    gc.collect()
    assert ended == []  # each ends the process


@pytest.mark.parametrize("asked", [False, True])
def test_an_engine_may_bring_code_where_its_manifest_says_so_and_nowhere_else(
    engine: Engine, asked: bool
) -> None:
    settings = {"version_compatible": True} if asked else {}
    engine = replace(engine, manifest=replace(engine.manifest, settings=settings))
    runtime = Runtime(VALID, "loaded")
    assert load_engine(trt, runtime, engine, collecting_logger(trt)) == "loaded"
    assert runtime.engine_host_code_allowed is asked


@pytest.mark.parametrize(
    ("diagnostics", "kind", "message"),
    [
        (int(DIAGNOSTICS.OLD_CUDA_DRIVER), EngineError, r"old cuda driver\); update the NVIDIA"),
        (int(DIAGNOSTICS.INSUFFICIENT_GPU_MEMORY), EngineError, "close other programs"),
        (int(DIAGNOSTICS.VERSION_MISMATCH), IncompatibleEngineError, "version mismatch.*--rebuild"),
        (int(DIAGNOSTICS.UNSUPPORTED_CC), IncompatibleEngineError, "unsupported cc.*--rebuild"),
    ],
)
def test_what_tensorrt_for_rtx_finds_wrong_decides_the_advice(
    engine: Engine, diagnostics: int, kind: type[EngineError], message: str
) -> None:
    runtime = Runtime((trt.EngineValidity.INVALID, diagnostics), "loaded")
    with pytest.raises(kind, match=message) as raised:
        load_engine(trt, runtime, engine, collecting_logger(trt))
    assert type(raised.value) is kind  # so that --rebuild knows


def test_too_little_memory_is_no_reason_to_build_again(engine: Engine) -> None:
    logger = collecting_logger(trt)
    with pytest.raises(EngineError, match="close other programs") as raised:
        load_engine(trt, Runtime(VALID, None, logger), engine, logger)
    assert type(raised.value) is EngineError


@pytest.mark.parametrize(
    ("error", "rebuilds"),
    [(EngineError("too little memory"), False), (IncompatibleEngineError("other GPU"), True)],
)
def test_rebuild_answers_an_engine_that_does_not_fit_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, error: EngineError, rebuilds: bool
) -> None:
    calls: list[str] = []

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(run_command, "load_engine", lambda path: "engine")
    monkeypatch.setattr(run_command, "open_session", refuse)
    monkeypatch.setattr(run_command, "open_engine", lambda *_: ("engine", "session"))
    monkeypatch.setattr(
        "pipeline.build.from_bundle.rebuild_engine", lambda *_: calls.append("built")
    )
    options = argparse.Namespace(hint="latency", rebuild=True, json=True)
    if rebuilds:
        assert run_command._open_or_rebuild(options, Path("an.engine")) == ("engine", "session")
    else:
        with pytest.raises(EngineError, match="too little memory"):
            run_command._open_or_rebuild(options, Path("an.engine"))
    assert calls == ["built"] * rebuilds
