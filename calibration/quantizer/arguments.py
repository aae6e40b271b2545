"""Arguments of operators of an exported graph, by name.

``torch.export`` leaves out trailing arguments that have their default value, such as the bias,
stride and padding of a plain 1x1 convolution, so ``node.args`` cannot be read by position.
"""

from __future__ import annotations

from typing import Any

from torch.fx import Node


def argument(node: Node, name: str) -> Any:
    """Return an argument as given, or the default of the operator's schema.

    Args:
        node: calls an operator of ATen.
        name: as in the schema, such as ``padding``.

    Raises:
        KeyError: the operator has no such argument.
    """
    schema = node.target._schema  # type: ignore[union-attr]
    for place, known in enumerate(schema.arguments):
        if known.name != name:
            continue
        if name in node.kwargs:
            return node.kwargs[name]
        return node.args[place] if place < len(node.args) else known.default_value
    raise KeyError(f"{node.target} has no argument {name}")


def source(node: Node) -> Any:
    """Return the first argument: what the operator is applied to."""
    return argument(node, node.target._schema.arguments[0].name)  # type: ignore[union-attr]
