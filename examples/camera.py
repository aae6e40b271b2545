"""A camera, or a video as if it were one: say how much of each picture is free road.

python examples/camera.py [0 OR VIDEO OR URL] [NETWORK OR ENGINE] [FRAMES]
"""

from __future__ import annotations

import sys

import roadseg

source, network, frames = [*sys.argv[1:], *("0", "segnet_lite", "0")[len(sys.argv) - 1 :]]
with roadseg.load(network) as net:
    for result in roadseg.stream(net, source, frames=int(frames) or None, realtime=True):
        print(f"frame {result.index}: {result.shares['Road']:.0%} road", flush=True)
