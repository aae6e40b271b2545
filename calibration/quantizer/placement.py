"""Which convolutions run in INT8, and which tensors are quantised for them.

Placement affects speed as much as the number of quantised layers: published times of a U-Net on an
Orin Nano are 31.6 ms with quantised convolutions alone, 29.6 with residual branches too, 26.4 with
batch norms folded first, 19.9 with concatenated tensors on one scale before the upsampling. The
rules follow TensorRT's recommendations ("Q/DQ Layer-Placement Recommendations", TensorRT
documentation, Working with Quantized Types), read off the exported graph of ATen operators.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch.fx import GraphModule, Node

from calibration.quantizer.arguments import argument, source

_aten = torch.ops.aten

CONVOLUTIONS = frozenset({_aten.conv2d.default, _aten.conv2d.padding})
TRANSPOSED = frozenset({_aten.conv_transpose2d.input})
CONCATS = frozenset({_aten.cat.default})
RESIZES = frozenset({_aten.upsample_nearest2d.vec, _aten.upsample_bilinear2d.vec})
MAX_POOLINGS = frozenset({_aten.max_pool2d.default})
_ADDITIONS = frozenset({_aten.add.Tensor, _aten.add_.Tensor})
#: How many poolings with positions, counted from the input, are quantised before (decision 006).
_POSITIONS_AMONG_BYTES = 2
#: Means over the whole picture or over bins of it; bins are matrix products in these networks.
_POOLINGS_TO_BINS = frozenset(
    {_aten.mean.dim, _aten.adaptive_avg_pool2d.default, _aten.matmul.default}
)


@dataclass(frozen=True)
class Convolution:
    """What becomes of one convolution.

    Attributes:
        name: its module's name in the network, such as ``encoder.0.1.conv``.
        int8: computed in INT8; otherwise it stays in floating point.
        reason: the rule that keeps it in floating point; empty for INT8.
    """

    name: str
    int8: bool
    reason: str = ""


@dataclass(frozen=True)
class Placement:
    """The decision for a whole graph.

    Attributes:
        convolutions: every convolution, transposed ones included, in graph order.
        nodes: the INT8 convolutions' nodes by name.
        skips: addition -> its residual branch, which is quantised (not the convolution's output,
            which TensorRT adds in the convolution's own epilogue).
        concats: concatenations whose inputs share one scale.
        pooled: tensor that is only pooled -> its max pooling, which an INT8 convolution reads. It
            is quantised on the same scale, so that pooling works on bytes: the largest value rounds
            to the largest byte. Positions, where they are kept, are found among the bytes too
            (comparing rounded with unrounded values would make ties), and only at the two finest
            levels: deeper, a tie moves a value further and there is no time to gain.
        tensors: every tensor that has a range, and a name that says where it is; by the rules
            alone, so that one table also has ranges for layers kept in floating point for other
            reasons. ``NAME`` is the input of convolution NAME (of the first if several read it),
            ``NAME.skip`` the branch that is added to its output, ``NAME.concat.0`` the first of
            the tensors that are concatenated for it, and ``NAME.concat.0.resized`` what that is
            resized from.
    """

    convolutions: tuple[Convolution, ...]
    nodes: dict[str, Node]
    skips: dict[Node, Node]
    concats: tuple[Node, ...]
    pooled: dict[Node, Node]
    tensors: dict[Node, str]

    @property
    def sites(self) -> dict[Node, str]:
        """Every quantised tensor, and the name in ``tensors`` of its range."""
        pooled = {value: self.tensors[pooling] for value, pooling in self.pooled.items()}
        return self.tensors | pooled

    @property
    def depthwise(self) -> tuple[str, ...]:
        """Names of the INT8 convolutions that have a group for each input channel."""
        return tuple(
            name for name, node in self.nodes.items() if argument(node, "groups") == _channels(node)
        )

    @property
    def classifiers(self) -> tuple[str, ...]:
        """Names of the INT8 convolutions that no other follows, which compute the scores."""
        return tuple(n for n, node in self.nodes.items() if not _reaches(node, forward=True))

    @property
    def int8(self) -> tuple[str, ...]:
        """Names of the convolutions that are to run in INT8."""
        return tuple(convolution.name for convolution in self.convolutions if convolution.int8)


def place(graph: GraphModule, high_precision: Collection[str] = ()) -> Placement:
    """Decide for an exported inference graph, batch norms folded.

    Args:
        graph: of ATen operators, from ``torch.export``.
        high_precision: names of further convolutions to keep in floating point; a mapping also
            has the reasons.
    """
    whole = _placed(graph, ())
    if not high_precision:
        return whole
    placed = _placed(graph, high_precision)
    # If one of two branches is kept, the other could become the skip, which has no range.
    skips = {node: skip for node, skip in placed.skips.items() if whole.skips.get(node) is skip}
    tensors = _names(placed.nodes, skips, placed.concats)
    return replace(placed, skips=skips, tensors={node: whole.tensors[node] for node in tensors})


def _placed(graph: GraphModule, high_precision: Collection[str]) -> Placement:
    convolutions, nodes = [], {}
    for node in graph.graph.nodes:
        if node.target not in CONVOLUTIONS | TRANSPOSED:
            continue
        name = convolution_name(node)
        assert name is not None
        reason = _asked(name, high_precision) or _kept(node)
        convolutions.append(Convolution(name, not reason, reason))
        if not reason:
            nodes[name] = node
    quantised = set(nodes.values())
    skips, concats = dict(_residuals(graph, quantised)), tuple(_shared_concats(graph, quantised))
    pooled, tensors = dict(_pooled_alone(graph, quantised)), _names(nodes, skips, concats)
    return Placement(tuple(convolutions), nodes, skips, concats, pooled, tensors)


def _names(
    nodes: Mapping[str, Node], skips: Mapping[Node, Node], concats: Iterable[Node]
) -> dict[Node, str]:
    """Name what INT8 convolutions read and add; see ``Placement.tensors``."""
    names: dict[Node, str] = {}
    for name, node in nodes.items():
        names.setdefault(node.all_input_nodes[0], name)
    for addition, skip in skips.items():
        added = next(value for value in addition.all_input_nodes if value is not skip)
        names.setdefault(skip, f"{convolution_name(added)}.skip")
    for concat in concats:
        for index, value in enumerate(concat.all_input_nodes):
            names.setdefault(value, f"{names[concat]}.concat.{index}")
            if value.target in RESIZES:
                names.setdefault(value.all_input_nodes[0], f"{names[value]}.resized")
    return names


def _asked(name: str, high_precision: Collection[str]) -> str:
    if name not in high_precision:
        return ""
    return high_precision[name] if isinstance(high_precision, Mapping) else "asked for"


def convolution_name(node: Node) -> str | None:
    """Return the name that the network has for a convolution, from its weight's; else None.

    Nodes between weight and convolution (observers, Q/DQ, casts) are passed over.
    """
    if node.target not in CONVOLUTIONS | TRANSPOSED:
        return None
    weight = argument(node, "weight")
    while isinstance(weight, Node) and weight.op != "get_attr":
        weight = weight.all_input_nodes[0]
    assert isinstance(weight, Node)
    return str(weight.target).removeprefix("network.").removesuffix(".weight")


def _channels(node: Node) -> int:
    """Return a convolution's input channels; 0 for one, which does not count as depthwise."""
    value = source(node)
    count = int(value.meta["val"].shape[1]) if isinstance(value, Node) else 0
    return count if count > 1 else 0


def _kept(node: Node) -> str:
    """Return why a convolution stays in floating point, or an empty text."""
    if node.target in TRANSPOSED:
        # TensorRT documentation: no per-channel weight scales along its output channels.
        return "transposed convolution: TensorRT has no scale per output channel there"
    if not _reaches(node, forward=False):
        return "first convolution: the picture's full range enters here"
    if _behind_pooling(node) or _of_one_pixel(node):
        return "global pooling branch: a few values, so no time to save and much to lose"
    return ""


def _reaches(start: Node, *, forward: bool) -> bool:
    """Whether a convolution lies on a path from ``start``'s output, or to its input.

    Transposed ones do not count: after a classifier they only enlarge its scores.
    """
    seen = {start}
    waiting = list(start.users if forward else [source(start)])
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Node) or node in seen:
            continue
        if node.target in CONVOLUTIONS:
            return True
        seen.add(node)
        waiting += list(node.users if forward else node.all_input_nodes)
    return False


def _behind_pooling(node: Node) -> bool:
    """Whether the input was pooled over the whole picture, or into bins of it, just before."""
    value = source(node)
    while isinstance(value, Node) and value.target not in CONVOLUTIONS | TRANSPOSED | CONCATS:
        if value.target in _POOLINGS_TO_BINS:
            return True
        value = next(iter(value.all_input_nodes), None)
    return False


def _of_one_pixel(node: Node) -> bool:
    """Whether the input is one value per channel, as in squeeze-and-excitation blocks."""
    value = source(node)
    sizes = value.meta["val"].shape[2:] if isinstance(value, Node) else ()
    return tuple(sizes) == (1, 1)


def _residuals(graph: GraphModule, quantised: set[Node]) -> Iterator[tuple[Node, Node]]:
    """Find additions of an INT8 convolution's output and a residual branch."""
    for node in graph.graph.nodes:
        if node.target not in _ADDITIONS:
            continue
        branches = [v for v in node.all_input_nodes if v.op == "call_function"]
        if len(branches) != 2:
            continue
        first, second = branches
        # If both are convolutions, the branch is the one that the other is computed from, as in
        # MobileNet's blocks, where the previous block ends with a convolution.
        if first in quantised and first not in _sources(second):
            yield node, second
        elif second in quantised and second not in _sources(first):
            yield node, first


def _sources(value: Node) -> set[Node]:
    """Return everything that a value is computed from, and itself."""
    seen: set[Node] = set()
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += node.all_input_nodes
    return seen


def _shared_concats(graph: GraphModule, quantised: set[Node]) -> Iterator[Node]:
    """Find concatenations of feature maps that an INT8 convolution reads."""
    for node in graph.graph.nodes:
        if node.target in CONCATS and quantised & set(node.users):
            yield node


def _pooled_alone(graph: GraphModule, quantised: set[Node]) -> Iterator[tuple[Node, Node]]:
    """Find tensors that only one max pooling, and the search for its positions, read."""
    for node in graph.graph.nodes:
        if node.target not in MAX_POOLINGS or not quantised & set(node.users):
            continue
        value = node.all_input_nodes[0]
        others = [user for user in value.users if user is not node]
        poolings = sum(one.target in MAX_POOLINGS for one in _sources(node)) - 1  # before this one
        fine = not others or poolings < _POSITIONS_AMONG_BYTES
        if fine and all(_compared(user) for user in others):
            yield value, node


def _compared(node: Node) -> bool:
    """Whether a node only compares one position of every window with the maximum."""
    if node.target is _aten.slice.Tensor:
        return all(_compared(user) for user in node.users)
    return node.target is _aten.ge.Tensor
