"""Signed bytes through a single FakeQuantize, which OpenVINO computes correctly.

OpenVINO reads ONNX's QuantizeLinear and DequantizeLinear as a FakeQuantize to -128..127, a
conversion to signed bytes, and back. On processors with VNNI but without AMX it then shifts the
values to 0..255 but keeps the conversion if several tensors were concatenated, so values above 127
become 127 (OpenVINO 2026.4 on Zen 4: logits of FC-DenseNet and of U-Net on EfficientNet-Lite0 are
off by 5 to 50 times the usual error of INT8). A FakeQuantize that outputs the rounded values
themselves does the same in one operator, and is also computed in INT8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.runtimes.openvino.patterns import constant_input, pair_that_ends_in


def round_in_one_step(op: Any, multiply: Any) -> None:
    """Replace a pair that rounds to signed bytes and back.

    Args:
        op: OpenVINO's operator set.
        multiply: an ``ov.Node`` of kind ``Multiply``, which may end such a pair.
    """
    pair = pair_that_ends_in(multiply)
    if pair is None or pair[1].get_output_element_type(0).get_type_name() != "i8":
        return
    quantise, _, _, subtract, _ = pair
    known = [constant_input(multiply, 1), constant_input(subtract, 1)]
    known += [constant_input(quantise, place) for place in (3, 4)]
    if any(values is None for values in known):
        return
    scale, zero, *bounds = (np.asarray(values, np.float32) for values in known)
    low, high = (op.constant((bound - zero) * scale) for bound in bounds)
    given = (quantise.input_value(place) for place in range(3))
    whole = op.fake_quantize(*given, low, high, quantise.get_attributes()["levels"])
    whole.set_friendly_name(multiply.get_friendly_name())
    for reader in list(multiply.output(0).get_target_inputs()):
        reader.replace_source_output(whole.output(0))
