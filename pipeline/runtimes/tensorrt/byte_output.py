"""The cast of class maps to bytes, in types that all versions of TensorRT document.

Arg-max gives INT32, the parser makes it INT64, and the network ends with a cast to UINT8. Up to
10.3, that cast is documented only for floating-point types. Class indices are small integers, which
FP32 represents exactly.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from pipeline.runtimes.tensorrt.network import layers_of


def give_bytes_from_floats(trt: ModuleType, network: Any) -> None:
    """Insert a cast to FP32 before an output that is cast from integers to bytes."""
    makers = {layer.get_output(0).name: layer for layer in layers_of(trt, network)}
    for index in range(network.num_outputs):
        last = makers[network.get_output(index).name]
        if last.type != trt.LayerType.CAST or last.to_type != trt.DataType.UINT8:
            continue
        given = last.get_input(0)
        while given.dtype == trt.DataType.INT64:  # skip casts to a wider type
            source = makers[given.name]
            if source.type != trt.LayerType.CAST:
                break
            given = source.get_input(0)
        if given.dtype in {trt.DataType.INT32, trt.DataType.INT64}:
            last.set_input(0, network.add_cast(given, trt.DataType.FLOAT).get_output(0))
