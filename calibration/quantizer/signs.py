"""Tensors of an exported graph that are never negative."""

from __future__ import annotations

import torch
from torch.fx import Node

from calibration.quantizer.arguments import argument, source
from calibration.quantizer.placement import CONCATS, MAX_POOLINGS, RESIZES

_aten = torch.ops.aten

_RELUS = frozenset(
    {
        _aten.relu.default,
        _aten.relu_.default,
        _aten.hardtanh.default,
        _aten.hardtanh_.default,
        _aten.relu6.default,
        _aten.clamp.default,
        _aten.clamp_.default,
    }
)
_PADS = frozenset({_aten.pad.default, _aten.constant_pad_nd.default})
#: Operators whose output is a choice or a mean of values of their first argument, or a constant.
_SIGN_KEEPING = frozenset(
    {
        *RESIZES,
        *_PADS,
        *MAX_POOLINGS,
        _aten.avg_pool2d.default,
        _aten.slice.Tensor,
        _aten.reshape.default,
        _aten.permute.default,
        _aten.expand.default,
        _aten.dropout.default,
    }
)


def never_negative(value: object) -> bool:
    """Whether a tensor is never negative on any frame, since it comes out of a ReLU."""
    if not isinstance(value, Node):
        return False
    if value.target in _RELUS:
        floor = 0 if value.target in _ZERO_FLOORED else argument(value, _FLOORS[value.target])
        return isinstance(floor, int | float) and floor >= 0
    if value.target in CONCATS:
        parts = source(value)
        return isinstance(parts, list | tuple) and all(never_negative(part) for part in parts)
    if value.target is _aten.where.self:
        # Unpooling: a value of the smaller map at its index, else zero.
        return never_negative(argument(value, "self")) and _is_zero(argument(value, "other"))
    if value.target in _PADS and (argument(value, "value") or 0) < 0:
        return False
    return value.target in _SIGN_KEEPING and never_negative(source(value))


#: Name of the lower limit's argument.
_FLOORS = {
    _aten.hardtanh.default: "min_val",
    _aten.hardtanh_.default: "min_val",
    _aten.clamp.default: "min",
    _aten.clamp_.default: "min",
}
_ZERO_FLOORED = frozenset({_aten.relu.default, _aten.relu_.default, _aten.relu6.default})


def _is_zero(value: object) -> bool:
    zeros = (_aten.zeros.default, _aten.zeros_like.default)
    if isinstance(value, Node) and value.target is _aten.full.default:
        return bool(argument(value, "fill_value") == 0)
    return isinstance(value, Node) and value.target in zeros
