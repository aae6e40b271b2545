"""A segmentation network of another project, in an ONNX file, becomes an engine and runs.

classes.txt has a line 'NAME R,G,B' for each output channel (docs/foreign-networks.md).
python examples/own_onnx.py net.onnx classes.txt street.jpg
"""

from __future__ import annotations

import sys

import cv2

import roadseg

engine = roadseg.build(sys.argv[1], classes=sys.argv[2])
with roadseg.load(engine) as net:
    result = net(cv2.imread(sys.argv[3]))
print(engine, max(result.shares, key=lambda name: result.shares[name]))
