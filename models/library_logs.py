"""What libraries log when they are imported, and nobody here can change."""

from __future__ import annotations

import logging

#: torchao warns of its CUDA parts, and torch of a type of torchao's.
_LOUD = ("torchao", "torch.utils._pytree")


def quiet_imports() -> None:
    """Let these libraries log errors alone; to be called by programs, before they are imported."""
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)
