"""Real-time segmentation of road scenes: networks, engines, cameras.

A network's engine is built for this machine the first time and used again afterwards::

    import roadseg

    with roadseg.load("segnet_lite") as net:
        result = net(frame)                        # BGR uint8 (H, W, 3), as OpenCV gives it
        result.classes, result.shares, result.overlay(), net.classes.names
        for result in roadseg.stream(net, "drive.mp4"):
            ...
    roadseg.build("segnet", precision="int8")

Paths may be strings or ``pathlib.Path``. What a user can cause is raised as a ``RoadsegError`` with
one line. The command ``roadseg`` does the rest. Importing this imports nothing else; PyTorch is
needed to build, not to load and run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline import __version__
    from pipeline.build.api import Network, Result, RoadsegError, build, load, stream
    from pipeline.receiver import Receiver

__all__ = [
    "Network",
    "Receiver",
    "Result",
    "RoadsegError",
    "__version__",
    "build",
    "load",
    "stream",
]

_ELSEWHERE = {"Receiver": "roadseg.pipeline.receiver", "__version__": "roadseg.pipeline"}

if "__path__" not in globals():  # a checkout; in the wheel this file is roadseg/__init__.py
    import os

    __path__ = [os.path.dirname(os.path.realpath(__file__))]
    import_module("roadseg.scripts.packaging.checkout").install()


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "roadseg.pipeline.build.api")), name)


def __dir__() -> list[str]:
    return __all__


def main() -> int:
    """Run the command line; return its exit status."""
    status: int = import_module("roadseg.pipeline.cli").console()
    return status
