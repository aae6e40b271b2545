"""From a PyTorch module to segmented frames on a screen: build, calibrate, verify, stream."""

from __future__ import annotations

#: Of the project; setup.cfg reads it here, and engines name it.
__version__ = "0.1.0"
