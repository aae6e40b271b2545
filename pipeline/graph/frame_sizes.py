"""Frames that a deployment graph takes: their sizes, and how many at once."""

from __future__ import annotations

from models.spec import LARGEST_SIZE

#: Frame heights and widths that an engine takes, in pixels.
FRAME_SIZES = (64, LARGEST_SIZE)

#: Width and height of the smallest, the usual and the largest frame: engines take every size from
#: the first to the last, and TensorRT tunes for the second.
Sizes = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
USUAL_SIZES: Sizes = ((FRAME_SIZES[0],) * 2, (1280, 720), (FRAME_SIZES[1],) * 2)

#: Frames that one run of an engine may take at most.
MOST_FRAMES = 64
