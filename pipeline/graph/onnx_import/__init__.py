"""Segmentation networks from ONNX files, as modules that everything else takes.

A file is read once: what depends on sizes alone is computed, what depends on the picture is
recorded as PyTorch functions, and the result is compared with ONNX Runtime before it is used. So
INT8, the accuracy gate, both ways into TensorRT and every other runtime know nothing of ONNX files.
"""

from __future__ import annotations

from pipeline.graph.onnx_import.opening import ForeignNetwork, open_foreign
from pipeline.graph.onnx_import.options import ForeignOptions

__all__ = ["ForeignNetwork", "ForeignOptions", "open_foreign"]
