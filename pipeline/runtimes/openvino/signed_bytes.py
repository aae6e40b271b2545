"""Signed bytes as OpenVINO's own operator for quantising, which it computes right.

OpenVINO reads a pair of ONNX's QuantizeLinear and DequantizeLinear as a FakeQuantize that makes
-128 to 127, a conversion to signed bytes and the way back. On processors with VNNI and without AMX
it then moves the values to 0..255 and leaves the conversion in place where several tensors were
concatenated: what is above 127 becomes 127 (OpenVINO 2026.4 on Zen 4: logits of FC-DenseNet and of
U-Net on EfficientNet-Lite0 off by 5 to 50 times what INT8 costs). A FakeQuantize whose output is
the rounded value itself says the same in one operator, and is computed in INT8 as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: From the rounded values back to the operator that rounds.
_WAY_BACK = ("Multiply", "Subtract", "Convert", "Convert", "FakeQuantize")


def round_in_one_step(op: Any, multiply: Any) -> None:
    """Put a FakeQuantize in place of a pair that rounds to signed bytes and back.

    Args:
        op: OpenVINO's operator set.
        multiply: an ``ov.Node`` of kind ``Multiply``, which may end such a pair.
    """
    found = [multiply]
    while len(found) < len(_WAY_BACK) and found[-1].get_input_size():
        found.append(found[-1].input_value(0).get_node())
    if tuple(one.get_type_name() for one in found) != _WAY_BACK:
        return
    multiply, subtract, _, to_bytes, quantise = found
    scale, zero = _constant(multiply), _constant(subtract)
    bounds = [quantise.input_value(place).get_node() for place in (3, 4)]
    if (
        to_bytes.get_output_element_type(0).get_type_name() != "i8"
        or scale is None
        or zero is None
        or any(bound.get_type_name() != "Constant" for bound in bounds)
    ):
        return
    low, high = (op.constant((bound.get_data() - zero) * scale) for bound in bounds)
    given = (quantise.input_value(place) for place in range(3))
    whole = op.fake_quantize(*given, low, high, quantise.get_attributes()["levels"])
    whole.set_friendly_name(multiply.get_friendly_name())
    for reader in list(multiply.output(0).get_target_inputs()):
        reader.replace_source_output(whole.output(0))


def _constant(operation: Any) -> NDArray[np.float32] | None:
    """Its second input, where that is a constant or converted from one."""
    given = operation.input_value(1).get_node()
    given = given.input_value(0).get_node() if given.get_type_name() == "Convert" else given
    return given.get_data().astype(np.float32) if given.get_type_name() == "Constant" else None
