"""The frames that a deployment graph takes: their sizes and their number."""

from __future__ import annotations

from models.spec import LARGEST_SIZE

#: Frame heights and widths that an engine takes, in pixels.
FRAME_SIZES = (64, LARGEST_SIZE)

#: Width and height of the smallest, the usual and the largest frame. Engines take all sizes from
#: the smallest to the largest; TensorRT optimises for the usual one.
Sizes = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
USUAL_SIZES: Sizes = ((FRAME_SIZES[0],) * 2, (1280, 720), (FRAME_SIZES[1],) * 2)

#: Most frames in one run of an engine.
MOST_FRAMES = 64
