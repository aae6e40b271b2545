"""Element-wise operators, reductions and matrix products."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.graph.onnx_import.call import Call, Operator
from pipeline.graph.onnx_import.recorder import Value, is_recorded


def _plain(function: Callable[..., Any]) -> Operator:
    """Hand all inputs to a PyTorch function."""
    return lambda call: function(*call.inputs)


def _pairwise(function: Callable[..., Any]) -> Operator:
    """Combine all inputs, two at a time; constants of one value become numbers."""
    return lambda call: reduce(lambda a, b: _combined(function, a, b), call.inputs)


def _combined(function: Callable[..., Any], a: Any, b: Any) -> Any:
    if isinstance(a, Value):
        return function(a, _number(b, a))
    if isinstance(b, Value) and function in _SWAPPED:
        return _SWAPPED[function](b, _number(a, b))
    return function(a, b)


def _number(constant: Any, other: Value) -> Any:
    """Return a constant as a number where that gives the same result."""
    if isinstance(constant, Tensor) and constant.numel() == 1 and constant.ndim <= other.ndim:
        return constant.item()
    return constant


def _from(x: Any, start: Any) -> Any:
    return torch.sub(start, x) if isinstance(start, Tensor) else start - x


_SWAPPED: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.add: torch.add,
    torch.mul: torch.mul,
    torch.sub: _from,
}


def _extreme(function: Callable[..., Any], limit: str) -> Operator:
    """Combine all inputs; a constant of one value becomes the ``limit`` of a clamp."""

    def limited(a: Any, b: Any) -> Any:
        if isinstance(b, Value):
            a, b = b, a
        number = _number(b, a) if isinstance(a, Value) else b
        if isinstance(number, Tensor | Value):
            return function(a, b)
        return torch.clamp(a, **{limit: number})

    return lambda call: reduce(limited, call.inputs)


def _divide(a: Any, b: Any) -> Any:
    # Integer division rounds towards zero.
    dtype = getattr(a, "dtype", None)
    whole = dtype is not None and not dtype.is_floating_point
    return torch.div(a, b, rounding_mode="trunc") if whole else torch.div(a, b)


def _modulo(call: Call) -> Any:
    function = torch.fmod if call.attribute("fmod", 0) else torch.remainder
    return function(*call.inputs)


def _clip(call: Call) -> Any:
    low = call.number(1, "min", None)
    high = call.number(2, "max", None)
    # Exporters write "no limit" as the largest number there is.
    low = None if low is not None and low <= -3e38 else low
    high = None if high is not None and high >= 3e38 else high
    return call.x if low is None and high is None else torch.clamp(call.x, low, high)


def _hard_sigmoid(call: Call) -> Any:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return F.hardsigmoid(call.x)
    return torch.clamp(call.x * alpha + beta, 0.0, 1.0)


def _prelu(call: Call) -> Any:
    slope = call.input(1)
    if isinstance(slope, Tensor) and slope.numel() in {1, call.x.shape[1]}:
        return F.prelu(call.x, slope.reshape(-1))
    return torch.clamp(call.x, min=0.0) + torch.clamp(call.x, max=0.0) * slope


def _softmax(function: Callable[..., Any]) -> Operator:
    def operator(call: Call) -> Any:
        new = call.opset >= 13
        axis = call.attribute("axis", -1 if new else 1) % call.x.ndim
        if new or axis == call.x.ndim - 1:
            return function(call.x, axis)
        # Up to operator set 12 it is over all dimensions from the axis on.
        return torch.reshape(function(torch.flatten(call.x, axis), axis), (-1, *call.x.shape[1:]))

    return operator


def _reduction(function: Callable[..., Any]) -> Operator:
    """Reduce over axes; ``function`` takes (x, axes, keep the axes)."""

    def operator(call: Call) -> Any:
        axes = call.numbers(1, "axes")
        if not axes:
            if call.attribute("noop_with_empty_axes", 0):
                return call.x
            axes = list(range(call.x.ndim))
        axes = sorted(axis % call.x.ndim for axis in axes)
        return function(call.x, axes, bool(call.attribute("keepdims", 1)))

    return operator


def _product(x: Any, axes: list[int], keep: bool) -> Any:
    for axis in reversed(axes):
        x = torch.prod(x, axis, keepdim=keep)
    return x


def _sum_of_squares(x: Any, axes: list[int], keep: bool) -> Any:
    return torch.sum(x * x, axes, keepdim=keep)


def _position(function: Callable[..., Any]) -> Operator:
    def operator(call: Call) -> Any:
        if call.attribute("select_last_index", 0):
            raise call.refused("it takes the last of equal values", "select_last_index = 0")
        keep = bool(call.attribute("keepdims", 1))
        return function(call.x, call.attribute("axis", 0), keepdim=keep)

    return operator


def _matmul(call: Call) -> Any:
    left, right = call.inputs
    if is_recorded(left) and isinstance(right, Tensor) and right.ndim == 2:
        # A linear layer: placement takes a bare matrix product for attention or pooling.
        return F.linear(left, right.T.contiguous())
    return torch.matmul(left, right)


def _gemm(call: Call) -> Any:
    left, right, bias = call.inputs[0], call.inputs[1], call.input(2)
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    left = left.T if call.attribute("transA", 0) else left
    right = right.T if call.attribute("transB", 0) else right
    if is_recorded(left) and isinstance(right, Tensor):
        result = F.linear(left, (right.T * alpha).contiguous())
    else:
        result = torch.matmul(left, right)
        result = result if alpha == 1 else result * alpha
    return result if bias is None else result + (bias if beta == 1 else bias * beta)


def _top(call: Call) -> Any:
    count = int(call.number(1, "k", 1))
    largest = bool(call.attribute("largest", 1))
    found = torch.topk(call.x, count, call.attribute("axis", -1), largest=largest)
    return found[0], found[1]


OPERATORS: dict[str, Operator] = {
    "Abs": _plain(torch.abs),
    "Add": _pairwise(torch.add),
    "And": _plain(torch.logical_and),
    "ArgMax": _position(torch.argmax),
    "ArgMin": _position(torch.argmin),
    "Ceil": _plain(torch.ceil),
    "Celu": lambda call: F.celu(call.x, call.attribute("alpha", 1.0)),
    "Clip": _clip,
    "Cos": _plain(torch.cos),
    "Div": _pairwise(_divide),
    "Einsum": lambda call: torch.einsum(call.attribute("equation"), *call.inputs),
    "Elu": lambda call: F.elu(call.x, call.attribute("alpha", 1.0)),
    "Equal": _pairwise(torch.eq),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Floor": _plain(torch.floor),
    "Gelu": lambda call: F.gelu(call.x, approximate=call.attribute("approximate", "none")),
    "Gemm": _gemm,
    "Greater": _pairwise(torch.gt),
    "GreaterOrEqual": _pairwise(torch.ge),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(F.hardswish),
    "LeakyRelu": lambda call: F.leaky_relu(call.x, call.attribute("alpha", 0.01)),
    "Less": _pairwise(torch.lt),
    "LessOrEqual": _pairwise(torch.le),
    "Log": _plain(torch.log),
    "LogSoftmax": _softmax(torch.log_softmax),
    "MatMul": _matmul,
    "Max": _extreme(torch.maximum, "min"),
    "Mean": lambda call: sum(call.inputs[1:], start=call.x) / len(call.inputs),
    "Min": _extreme(torch.minimum, "max"),
    "Mish": _plain(F.mish),
    "Mod": _modulo,
    "Mul": _pairwise(torch.mul),
    "Neg": _plain(torch.neg),
    "Not": _plain(torch.logical_not),
    "Or": _plain(torch.logical_or),
    "PRelu": _prelu,
    "Pow": _pairwise(torch.pow),
    "Reciprocal": _plain(torch.reciprocal),
    "ReduceL2": _reduction(lambda *args: torch.sqrt(_sum_of_squares(*args))),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMean": _reduction(torch.mean),
    "ReduceMin": _reduction(torch.amin),
    "ReduceProd": _reduction(_product),
    "ReduceSum": _reduction(torch.sum),
    "ReduceSumSquare": _reduction(_sum_of_squares),
    "Relu": _plain(F.relu),
    "Round": _plain(torch.round),
    "Selu": _plain(F.selu),
    "Sigmoid": _plain(torch.sigmoid),
    "Sign": _plain(torch.sign),
    "Sin": _plain(torch.sin),
    "Softmax": _softmax(torch.softmax),
    "Softplus": _plain(F.softplus),
    "Softsign": _plain(F.softsign),
    "Sqrt": _plain(torch.sqrt),
    "Sub": _pairwise(torch.sub),
    "Sum": _pairwise(torch.add),
    "Swish": lambda call: call.x * torch.sigmoid(call.x * call.attribute("alpha", 1.0)),
    "Tanh": _plain(torch.tanh),
    "TopK": _top,
    "Xor": _plain(torch.logical_xor),
}
