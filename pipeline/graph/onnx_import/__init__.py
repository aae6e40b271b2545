"""Segmentation networks from ONNX files, imported as PyTorch modules.

What depends on sizes only is computed at import, what depends on the picture is recorded as PyTorch
functions, and the result is compared with ONNX Runtime before it is used. So quantisation and all
runtimes treat an imported network like any other.
"""

from __future__ import annotations

from pipeline.graph.onnx_import.opening import ForeignNetwork, open_foreign
from pipeline.graph.onnx_import.options import ForeignOptions

__all__ = ["ForeignNetwork", "ForeignOptions", "open_foreign"]
