"""torch-tensorrt for a GPU that is named instead of present.

torch-tensorrt asks CUDA which GPU there is when it is imported and when its settings are made. What
it does with the answer is to leave out what Jetson boards lack; nothing that fills a network runs
on the GPU. So on a machine without one, the named target answers.
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
#: the package ``torch_tensorrt``, so a machine has one of them.
DISTRIBUTIONS = {"tensorrt": "torch-tensorrt", "tensorrt_rtx": "torch-tensorrt-rtx"}

#: Versions whose questions, lowering and network interpreter are known: none of them is public.
KNOWN_VERSIONS = ("2.14.0",)


def known_version(trt: ModuleType) -> str:
    """Return the version of the torch-tensorrt that fills networks of ``trt``.

    Args:
        trt: ``tensorrt`` or ``tensorrt_rtx``.

    Raises:
        RuntimeMissingError: it is not installed, or it is a version that was never tried.
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
    """Return the version of torch-tensorrt that is installed, None for none or an unknown one."""
    for distribution in DISTRIBUTIONS.values():
        with suppress(PackageNotFoundError):
            found = version(distribution)
            if found.partition("+")[0] in KNOWN_VERSIONS:
                return found
    return None


def capability(target: str) -> tuple[int, int]:
    """Return the compute capability of an architecture: ``sm86`` is (8, 6), ``sm120`` (12, 0).

    For ``sm80+``, all from Ampere on, a usual GPU of Ampere's answers.
    """
    if target == AMPERE_AND_LATER:
        return 8, 6
    digits = re.fullmatch(r"sm(\d+)(\d)", target)
    assert digits  # the compiler has checked it
    return int(digits[1]), int(digits[2])


@contextmanager
def offline_target(trt: ModuleType, targets: tuple[str, ...]) -> Iterator[ModuleType]:
    """Give the module ``torch_tensorrt``, which takes ``targets`` for the GPU of this machine.

    Everything that it or its import changes in other packages is as before afterwards, however the
    block ends. Not for several threads: the answers are those of the whole process.

    Args:
        trt: ``tensorrt`` or ``tensorrt_rtx``.
        targets: GPU architectures such as ``sm86``; the first one answers, since the networks of
            all are the same. Empty for the GPU of this machine, which answers for itself.

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
    """Let ``owner.name`` be ``value`` for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep its notes about missing GPUs and extras to itself; its import captures warnings, too."""
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
    """Let ``import tensorrt`` find torch-tensorrt's stand-in, and afterwards what it found before.

    The stand-in is TensorRT for RTX where that is installed, which must not pass for TensorRT.
    """
    before = sys.modules.get("tensorrt")
    loaded = sys.modules.get("torch_tensorrt.logging")
    if loaded is not None:  # from the second time on, the import does not do it
        sys.modules["tensorrt"] = loaded.trt
    try:
        yield
    finally:
        if before is None:
            sys.modules.pop("tensorrt", None)
        else:
            sys.modules["tensorrt"] = before
