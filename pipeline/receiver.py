"""The reader of class maps, under the import path that other programs use."""

from __future__ import annotations

from pipeline.stream.ipc.receiver import Receiver

__all__ = ["Receiver"]
