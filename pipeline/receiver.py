"""The reader of class maps, under the name that programs of others import it by."""

from __future__ import annotations

from pipeline.stream.ipc.receiver import Receiver

__all__ = ["Receiver"]
