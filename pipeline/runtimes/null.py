"""A session without a network, for tests and to measure the rest of the pipeline."""

from __future__ import annotations

import numpy as np

from pipeline.runtimes.session import Capabilities, ClassMaps, Frames, Session, TensorSpec


class NullSession(Session):
    """Gives class maps of the right shape and type in which every pixel is class 0.

    Args:
        width, height: size of the class maps.
    """

    def __init__(self, width: int = 480, height: int = 360) -> None:
        self.input_spec = TensorSpec("frames", "uint8", (None, None, None, 3), "NHWC")
        self.output_spec = TensorSpec("classes", "uint8", (None, height, width), "NHW")
        self.capabilities = Capabilities(runtime="null", device="none", precision="none")
        self._size = (height, width)

    def _run(self, frames: Frames) -> ClassMaps:
        return np.zeros((len(frames), *self._size), np.uint8)

    def close(self) -> None:
        pass
