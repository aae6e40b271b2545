"""torch-tensorrt for a named target instead of this machine's GPU.

torch-tensorrt asks CUDA for the GPU when it is imported and when its settings are made, only to
leave out what Jetson boards lack; filling a network runs nothing on the GPU. So these questions are
answered with the named target.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import torch

from models.install import use_torch_tensorrt
from pipeline.engine.compatibility import AMPERE_AND_LATER
from pipeline.errors import RuntimeMissingError

#: TensorRT's module -> the distribution of torch-tensorrt that fills its networks. Both install
#: the package ``torch_tensorrt``, so an environment has one of them.
DISTRIBUTIONS = {"tensorrt": "torch-tensorrt", "tensorrt_rtx": "torch-tensorrt-rtx"}

#: Versions whose private API, which is used here, was tried.
KNOWN_VERSIONS = ("2.14.0",)


def known_version(trt: ModuleType) -> str:
    """Return the version of the torch-tensorrt that fills networks of ``trt``.

    Raises:
        RuntimeMissingError: it is not installed, or its version was not tried.
    """
    distribution = DISTRIBUTIONS[trt.__name__]
    known = " or ".join(KNOWN_VERSIONS)
    remedy = f"{use_torch_tensorrt()}, or build with --front-end onnx"
    try:
        found = version(distribution)
    except PackageNotFoundError as error:
        raise RuntimeMissingError(
            f"--front-end torch-tensorrt needs {distribution} {known} for {trt.__name__}, which is "
            f"not installed here; {remedy}"
        ) from error
    if found.partition("+")[0] not in KNOWN_VERSIONS:  # +cu130 is the same source
        raise RuntimeMissingError(
            f"{distribution} {found} is installed, --front-end torch-tensorrt knows {known}; "
            f"{remedy}"
        )
    return found


def installed_version() -> str | None:
    """Return the installed version of torch-tensorrt; None without one or where it is not known."""
    for distribution in DISTRIBUTIONS.values():
        with suppress(PackageNotFoundError):
            found = version(distribution)
            if found.partition("+")[0] in KNOWN_VERSIONS:
                return found
    return None


def capability(target: str) -> tuple[int, int]:
    """Return the compute capability of an architecture: ``sm86`` is (8, 6), ``sm120`` (12, 0).

    For ``sm80+``, Ampere and later, it is that of a common Ampere GPU.
    """
    if target == AMPERE_AND_LATER:
        return 8, 6
    digits = re.fullmatch(r"sm(\d+)(\d)", target)
    assert digits  # the compiler has checked it
    return int(digits[1]), int(digits[2])


@contextmanager
def offline_target(trt: ModuleType, targets: tuple[str, ...]) -> Iterator[ModuleType]:
    """Import ``torch_tensorrt`` as if this machine's GPU were of ``targets``.

    At the end of the block everything that this or the import changed in other packages is undone.
    The changes are those of the whole process, so only one thread may use it.

    Args:
        trt: ``tensorrt`` or ``tensorrt_rtx``.
        targets: GPU architectures such as ``sm86``; the first is taken, since the networks of all
            are the same. Empty for the GPU of this machine.

    Raises:
        RuntimeMissingError: torch-tensorrt is not installed, or of an unknown version.
    """
    known_version(trt)
    with ExitStack() as changes:
        if targets:
            found = capability(targets[0])
            answers: dict[str, Any] = {
                "get_device_capability": lambda device=None: found,
                "current_device": lambda: 0,
            }
            for question, answer in answers.items():
                changes.enter_context(replaced(torch.cuda, question, answer))
        changes.enter_context(_quiet())
        changes.enter_context(_name_of_tensorrt())
        yield import_module("torch_tensorrt")


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Set ``owner.name`` to ``value`` inside the block."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence notes about missing GPUs and extras; undo that the import captures warnings."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown = warnings.showwarning
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)
            if warnings.showwarning is not shown:
                logging.captureWarnings(False)


@contextmanager
def _name_of_tensorrt() -> Iterator[None]:
    """Let ``import tensorrt`` inside the block find the module that torch-tensorrt puts there.

    It is TensorRT for RTX where that is installed, which nothing else may take for TensorRT.
    """
    before = sys.modules.get("tensorrt")
    loaded = sys.modules.get("torch_tensorrt.logging")
    if loaded is not None:  # only the first import does this itself
        sys.modules["tensorrt"] = loaded.trt
    try:
        yield
    finally:
        if before is None:
            sys.modules.pop("tensorrt", None)
        else:
            sys.modules["tensorrt"] = before
