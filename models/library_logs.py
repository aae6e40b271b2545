"""Suppression of warnings that libraries log when they are imported."""

from __future__ import annotations

import logging

#: torchao warns about its CUDA parts, and torch about a type of torchao.
_LOUD = ("torchao", "torch.utils._pytree")


def quiet_imports() -> None:
    """Let these libraries log only errors; programs call it before they import them."""
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)
