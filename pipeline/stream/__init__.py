"""Frames from sources through a session to sinks; ``runner`` has a diagram.

Names in ``__all__`` are imported when they are first used, so that a program that needs a single
module, such as a reader of class maps, does not load the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.stream.inputs import StreamInput, StreamOptions
    from pipeline.stream.report import StreamReport
    from pipeline.stream.runner import run, run_inputs

__all__ = ["StreamInput", "StreamOptions", "StreamReport", "run", "run_inputs"]

_MODULES = {
    "StreamInput": "inputs",
    "StreamOptions": "inputs",
    "StreamReport": "report",
    "run": "runner",
    "run_inputs": "runner",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
