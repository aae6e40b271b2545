"""Records calls of PyTorch functions as an FX graph.

Operators are plain PyTorch functions. Called with tensors they compute, which is how shapes and
other constants of the file are folded. Called with stand-ins of a :class:`Recorder` they are
recorded as nodes, and run on tensors without data, so that shapes are known while importing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import Graph, GraphModule, Node, Proxy
from torch.fx.node import map_arg
from torch.fx.proxy import GraphAppendingTracer

_VALUE = "val"
#: Where a node of the FX graph says which tensor of the ONNX file it computes.
TENSOR = "onnx_tensor"


class Value(Proxy):
    """Stands for a tensor that depends on the picture; its shape is that of one picture."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the tensor."""
        return tuple(int(size) for size in self.node.meta[_VALUE].shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the tensor's values."""
        dtype: torch.dtype = self.node.meta[_VALUE].dtype
        return dtype


def is_recorded(value: object) -> bool:
    """Whether a value stands for a tensor that depends on the picture."""
    return isinstance(value, Value)


class Recorder(GraphAppendingTracer):
    """Records calls, and keeps the layers and constants that they need."""

    def __init__(self) -> None:
        super().__init__(Graph())
        self._root = nn.Module()
        self._constants: dict[int, tuple[Tensor, str]] = {}
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def picture(self, shape: tuple[int, ...]) -> Any:
        """Declare the network's input, of floats."""
        node = self.graph.placeholder("pictures")
        with self._fake:
            node.meta[_VALUE] = torch.empty(shape)
        return self.proxy(node)

    def layer(self, name: str, layer: nn.Module, x: Any) -> Any:
        """Record a layer with weights, called with ``x``.

        ``name`` is its path, such as ``encoder.0.conv``; a number is added where it is taken.
        """
        return self.create_proxy("call_module", self._place(name, layer), (x,), {})

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Record a function as one node, without looking inside."""
        return self.create_proxy("call_function", function, arguments, {})

    def network(self, output: Value) -> GraphModule:
        """Return the graph that computes ``output``; networks of a recorder share their layers."""
        graph = Graph()
        copies: dict[Node, Node] = {}
        graph.graph_copy(self.graph, copies)
        graph.output(copies[output.node])
        module = GraphModule(self._root, graph)
        module.graph.eliminate_dead_code()
        module.delete_all_unused_submodules()
        module.recompile()
        for node in module.graph.nodes:
            node.meta.pop(_VALUE, None)
        return module.eval().requires_grad_(False)

    def proxy(self, node: Node) -> Proxy:
        """Return the stand-in of a node."""
        return Value(node, self)

    def create_arg(self, a: Any) -> Any:
        """Turn an argument of a call into one of a node; tensors become buffers."""
        return self._constant(a) if isinstance(a, Tensor) else super().create_arg(a)

    def create_node(self, *arguments: Any, **options: Any) -> Node:
        """Record a call, and run it on tensors without data."""
        node = super().create_node(*arguments, **options)
        args, kwargs = map_arg((node.args, node.kwargs), lambda n: n.meta[_VALUE])
        with self._fake, torch.no_grad():
            node.meta[_VALUE] = self._run(node, args, kwargs)
        return node

    def _run(self, node: Node, args: Any, kwargs: Any) -> Any:
        if node.op == "call_module":
            return self._root.get_submodule(str(node.target))(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        assert callable(node.target)
        return node.target(*args, **kwargs)

    def _constant(self, tensor: Tensor) -> Node:
        kept = self._constants.get(id(tensor))
        if kept is None:
            name = f"constant_{len(self._constants)}"
            self._root.register_buffer(name, tensor.detach().clone())
            # The tensor is kept alive, since its id could otherwise be used again.
            kept = self._constants[id(tensor)] = (tensor, name)
        node = self.graph.create_node("get_attr", kept[1])
        node.meta[_VALUE] = self._fake.from_tensor(tensor.detach())
        return node

    def _place(self, name: str, layer: nn.Module) -> str:
        parent, path = self._root, []
        *parents, last = _parts(name)
        for part in parents:
            part = _free(parent, part, reuse=True)
            if part not in parent._modules:
                parent.add_module(part, nn.Module())
            parent = parent.get_submodule(part)
            path.append(part)
        last = _free(parent, last, reuse=False)
        parent.add_module(last, layer)
        return ".".join([*path, last])


def _parts(name: str) -> list[str]:
    """Split a path and make every part usable as an attribute."""
    parts = (re.sub(r"\W", "_", part) for part in name.split("."))
    return [part for part in parts if part] or ["layer"]


def _free(parent: nn.Module, part: str, *, reuse: bool) -> str:
    """Return ``part``, or with a number where that name is taken."""
    found, number = part, 1
    while hasattr(parent, found) and not (reuse and found in parent._modules):
        number += 1
        found = f"{part}_{number}"
    return found
