"""Computes tensors of an ONNX graph: constants and sizes at once, the rest by recording it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from onnx import GraphProto, NodeProto
from torch import Tensor

from pipeline.errors import BuildError, RoadsegError
from pipeline.graph.onnx_import.call import Call, tensor_from, title
from pipeline.graph.onnx_import.operators import OPERATORS
from pipeline.graph.onnx_import.operators.unpooling import carry
from pipeline.graph.onnx_import.recorder import TENSOR, Recorder, Value

#: Names of ONNX's own operator set.
DOMAINS = frozenset({"", "ai.onnx"})


class Importer:
    """Imports a tensor when it is asked for, and the nodes before it.

    Args:
        graph: of the file.
        opset: version of its operator set.
        recorder: receives what depends on the picture.
        given: values of the graph's inputs.
    """

    def __init__(
        self, graph: GraphProto, opset: int, recorder: Recorder, given: Mapping[str, Any]
    ) -> None:
        self._opset = opset
        self._recorder = recorder
        self._nodes = list(graph.node)
        self._makers = makers_of(graph)
        self._values: dict[str, Any] = {"": None, **given}
        self._constants = {one.name: one for one in graph.initializer}

    def tensor(self, name: str) -> Any:
        """Return a tensor: its values, or a ``Value`` where it depends on the picture.

        Raises:
            BuildError: there is no such tensor, or a node before it cannot be imported.
        """
        if name not in self._makers and not self._known(name):
            known = [*self._makers, *self._constants, *self._values]
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}" if close else "name an output of a node of the file"
            raise BuildError(f"the file has no tensor {name!r}; {hint}")
        for index in sorted(self._needed(name)):
            self._run(self._nodes[index])
        return self._value(name)

    def replace(self, name: str, value: Any) -> None:
        """Use another value for a tensor in everything that is imported from now on."""
        self._values[name] = value
        if isinstance(value, Value):
            value.node.meta[TENSOR] = name

    def compute(self, node: NodeProto, inputs: Iterable[Any]) -> Any:
        """Run or record a node of the graph on other inputs than its own.

        Raises:
            BuildError: as :func:`compute`.
        """
        return compute(Call(node, tuple(inputs), self._opset, self._recorder))

    def _known(self, name: str) -> bool:
        return name in self._values or name in self._constants

    def _value(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = tensor_from(self._constants[name])
        return self._values[name]

    def _needed(self, name: str) -> set[int]:
        """Return the indices of the nodes that have to run before ``name`` is known."""
        order = {id(node): index for index, node in enumerate(self._nodes)}
        found: set[int] = set()
        waiting = [name]
        while waiting:
            tensor = waiting.pop()
            node = None if tensor in self._values else self._makers.get(tensor)
            if node is not None and order[id(node)] not in found:
                found.add(order[id(node)])
                waiting += inputs_of(node)
        return found

    def _run(self, node: NodeProto) -> None:
        for name in node.input:
            if not self._known(name):
                raise BuildError(
                    f"node {title(node)} reads {name}, which no node before it makes; "
                    "export the network again, in inference mode"
                )
        inputs = tuple(self._value(name) for name in node.input)
        call = Call(node, inputs, self._opset, self._recorder)
        results = self._branch(call) if node.op_type == "If" else carry(call) or compute(call)
        if not isinstance(results, tuple):
            results = (results,)
        for name, value in zip(node.output, results, strict=False):
            self._values[name] = value
            if isinstance(value, Value):
                value.node.meta.setdefault(TENSOR, name)

    def _branch(self, call: Call) -> tuple[Any, ...]:
        """Take one side of an If; its condition must not depend on the picture."""
        condition = call.constant(0)
        assert condition is not None
        graph = call.attribute("then_branch" if bool(condition) else "else_branch")
        outer = {name: self._value(name) for name in inputs_of(call.node) if self._known(name)}
        inner = Importer(graph, self._opset, self._recorder, outer)
        return tuple(inner.tensor(output.name) for output in graph.output)


def compute(call: Call) -> Any:
    """Run or record one node.

    Raises:
        BuildError: an operator that is not known, or one that does not take these inputs.
    """
    node = call.node
    operator = OPERATORS.get(node.op_type) if node.domain in DOMAINS else None
    if operator is None:
        raise _unknown(node)
    try:
        with torch.no_grad():
            return operator(call)
    except RoadsegError:
        raise
    except Exception as error:  # PyTorch's own, about sizes and types of this node
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BuildError(
            f"node {title(node)} cannot be imported for inputs of {_sizes(call.inputs)} "
            f"({reason}); if a sum or concatenation does not fit, give another --size, often a "
            "multiple of 32"
        ) from error


def _unknown(node: NodeProto) -> BuildError:
    if node.op_type in {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}:
        return BuildError(
            f"node {title(node)} belongs to a network that is quantised already, expected one in "
            "floating point; give that one and ask for --precision int8"
        )
    domain = f" of {node.domain}" if node.domain not in DOMAINS else ""
    return BuildError(
        f"node {title(node)} is an operator{domain} that is not among the {len(OPERATORS)} known "
        "here (docs/foreign-networks.md lists them); name a tensor before it with --output-name, "
        "or export the network with other operators"
    )


def makers_of(graph: GraphProto) -> dict[str, NodeProto]:
    """Return the node that makes each tensor."""
    return {name: node for node in graph.node for name in node.output if name}


def inputs_of(node: NodeProto) -> list[str]:
    """Return what a node reads, and what the branches inside it read from around them."""
    names = list(node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            names += [name for inner in attribute.g.node for name in inputs_of(inner)]
            names += [output.name for output in attribute.g.output]
    return [name for name in names if name]


def _sizes(values: Iterable[Any]) -> str:
    shapes = [tuple(one.shape) for one in values if isinstance(one, Tensor | Value)]
    return ", ".join(str(shape) for shape in shapes) or "no size"
