"""Pixels of a class inside a zone: is somebody in front of the car?

python examples/zone.py drive.mp4 [NETWORK OR ENGINE] [CLASS]
"""

from __future__ import annotations

import sys

import cv2
import numpy as np

import roadseg

video, network, name = [*sys.argv[1:], *("", "segnet_lite", "Pedestrian")[len(sys.argv) - 1 :]]
with roadseg.load(network) as net:
    for result in roadseg.stream(net, video):
        height, width = result.classes.shape
        corners = [(0.3, 1.0), (0.45, 0.6), (0.55, 0.6), (0.7, 1.0)]  # of the picture
        zone = np.zeros((height, width), np.uint8)
        cv2.fillPoly(zone, [np.array([(x * width, y * height) for x, y in corners], np.int32)], 255)
        count = cv2.countNonZero(cv2.bitwise_and(result.mask(name), zone))
        print(f"frame {result.index}: {count} pixels of {name} in the zone")
