"""A logger that keeps TensorRT's errors, for ``tensorrt`` and ``tensorrt_rtx`` alike."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

from pipeline.runtimes.tensorrt.layer_list import BEGINNING


def collecting_logger(trt: ModuleType) -> Any:
    """Return a logger that keeps TensorRT's errors for our messages instead of printing them.

    It has ``errors``, a list of texts; ``last_error()``, the newest in one line; and ``layers``,
    the builder's latest list of layers (see ``layer_list``).
    """
    return _logger_class(trt)()


@cache
def _logger_class(trt: ModuleType) -> type:
    class CollectingLogger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 needs it, or crashes
            self.errors: list[str] = []
            self.layers = ""

        def log(self, severity: Any, message: str) -> None:
            """Receive one line from TensorRT."""
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)
            elif message.startswith(BEGINNING):
                self.layers = message

        def last_error(self) -> str:
            """Return the newest error in one line."""
            return self.errors[-1].strip().splitlines()[0] if self.errors else "no reason given"

    return CollectingLogger
