"""One node of an ONNX file with its inputs: what every operator is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, numpy_helper
from torch import Tensor

from pipeline.errors import BuildError
from pipeline.graph.onnx_import.recorder import Recorder, Value

#: Turns one node into what PyTorch computes for it: one value, or one per output.
Operator = Callable[["Call"], Any]

_FLOATS = frozenset(
    {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}
)


@dataclass(frozen=True)
class Call:
    """A node, its inputs, and the recorder for its layers.

    Attributes:
        node: as in the file.
        inputs: tensors; the recorder's stand-ins for those that depend on the picture, which are
            used in the same way; None where an optional input is missing.
        opset: version of the operator set that the file was written for.
        recorder: receives layers with weights.
    """

    node: NodeProto
    inputs: tuple[Any, ...]
    opset: int
    recorder: Recorder

    @property
    def x(self) -> Any:
        """The first input."""
        return self.inputs[0]

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute as a plain Python value; text as str."""
        for attribute in self.node.attribute:
            if attribute.name == name:
                return _plain(onnx.helper.get_attribute_value(attribute))
        return default

    def input(self, index: int) -> Any:
        """Return an input, or None where it is missing."""
        return self.inputs[index] if index < len(self.inputs) else None

    def constant(self, index: int) -> Tensor | None:
        """Return an input that must not depend on the picture, or None where it is missing.

        Raises:
            BuildError: it depends on the picture.
        """
        value = self.input(index)
        if isinstance(value, Value):
            raise self.refused(
                f"its input {self.node.input[index]} depends on the picture's content",
                "a constant, or something computed from sizes only",
            )
        assert value is None or isinstance(value, Tensor)
        return value

    def numbers(self, index: int, attribute: str | None = None) -> list[Any] | None:
        """Return a list of numbers: an input, or in older operator sets an attribute."""
        if attribute is not None:
            given = self.attribute(attribute)
            if given is not None:
                return list(given) if isinstance(given, list | tuple) else [given]
        value = self.constant(index)
        return None if value is None else value.reshape(-1).tolist()

    def number(self, index: int, attribute: str | None, default: Any) -> Any:
        """Return one number, see :meth:`numbers`."""
        found = self.numbers(index, attribute)
        return found[0] if found else default

    def refused(self, why: str, expected: str) -> BuildError:
        """Make the error of a node that cannot be imported."""
        return BuildError(
            f"node {title(self.node)} cannot be imported: {why}, expected {expected}; change the "
            "network and export it again, or name a tensor before this node with --output-name"
        )


def title(node: NodeProto) -> str:
    """Name a node in a message: its own name, or its first output's, and its operator."""
    return f"{node.name or node.output[0]} ({node.op_type})"


def tensor_from(proto: TensorProto) -> Tensor:
    """Read a constant; every kind of floating-point number becomes FP32."""
    array = numpy_helper.to_array(proto)
    if proto.data_type in _FLOATS:
        array = array.astype(np.float32)
    elif array.dtype.kind == "u" and array.dtype.itemsize > 1:  # torch computes little with those
        array = array.astype(np.int64)
    return torch.from_numpy(np.array(array, order="C"))


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
