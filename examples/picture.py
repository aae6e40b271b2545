"""Classes of one picture, and the picture with them laid over it.

python examples/picture.py street.jpg [NETWORK OR ENGINE]
"""

from __future__ import annotations

import sys

import cv2

import roadseg

picture = cv2.imread(sys.argv[1])
with roadseg.load(sys.argv[2] if sys.argv[2:] else "segnet_lite") as net:
    result = net(picture)
for name, share in sorted(result.shares.items(), key=lambda one: -one[1]):
    print(f"{name:<12}{share:6.1%}")
cv2.imwrite("overlay.png", result.overlay(legend=True))
