"""Frames from sources through a session to sinks; ``runner`` draws the whole of it.

What stands in ``__all__`` is imported when it is asked for: whoever needs one module alone, as a
reader of class maps does, waits for nothing else.
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
