"""Weights that were trained on classes of your own.

roadseg train segnet_lite --data mine --classes classes.txt --weights segnet_lite --folder run
python examples/own_classes.py run/segnet_lite.safetensors street.jpg
"""

from __future__ import annotations

import sys

import cv2

import roadseg

engine = roadseg.build("segnet_lite", weights=sys.argv[1])
with roadseg.load(engine) as net:
    print("knows", ", ".join(net.classes.names))
    cv2.imwrite("overlay.png", net(cv2.imread(sys.argv[2])).overlay(legend=True))
