"""Placement and quantised graphs, rule by rule, on networks of a few layers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from calibration.errors import CalibrationError
from calibration.quantizer.placement import Placement
from calibration.quantizer.signs import never_negative
from models.pooling import adaptive_average_pool
from models.segnet import SegNet
from models.spec import InputSpec
from models.unpooling import MaxPoolPhases, MaxUnpoolPhases
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.qdq import INT8_WEIGHT, QDQGraph

_aten, _qdq = torch.ops.aten, torch.ops.quantized_decomposed

CHANNELS = 4


class Network(nn.Module):
    """First convolution, the layers under test, another convolution, and the classifier."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = conv(3)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.last = conv(kernel=1)
        self.classifier = conv(kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.middle(torch.relu(self.first(x)))
        return self.classifier(torch.relu(self.last(x)))

    def middle(self, x: Tensor) -> Tensor:
        return x


def conv(inputs: int = CHANNELS, outputs: int = CHANNELS, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def network(middle: Callable[..., Tensor], **layers: nn.Module) -> Network:
    """Build a network whose ``middle`` uses the given layers and (N, 4, H, W)."""
    built = Network(**layers)
    built.middle = lambda x: middle(built, x)  # type: ignore[method-assign]
    return built


#: Scales of signed graphs are rounded to FP16, which has eleven digits.
HALF = 2.0**-11


def exported(module: nn.Module, size: int = 32) -> ExportedGraph:
    return ExportedGraph(DeploymentGraph(module, InputSpec(width=size, height=size)))


def placed(graph: ExportedGraph) -> Placement:
    """Place all but the classifiers, as for TensorRT."""
    return graph.placement(graph.placement().classifiers)


def quantised(
    graph: ExportedGraph, ranges: dict[str, float] | float = 4.0, unsigned: bool = False
) -> GraphModule:
    """Quantise ``graph`` with one range for all tensors, or one per name."""

    def threshold(name: str, _: str) -> float:
        return ranges if isinstance(ranges, float) else ranges[name]

    kept = graph.placement().classifiers
    module = QDQGraph(graph, threshold, kept, unsigned).with_dtype(torch.float32)
    assert isinstance(module, GraphModule)
    return module


def reasons(placement: Placement) -> dict[str, str]:
    """First words of the reason why a convolution stays in floats; empty for INT8."""
    return {one.name: one.reason.partition(":")[0] for one in placement.convolutions}


def pairs(module: GraphModule) -> dict[str, tuple[float, torch.dtype]]:
    """Every quantised tensor's node name -> scale and type."""
    found = {}
    for node in module.graph.find_nodes(op="call_function", target=QUANTIZE):
        source, scale, dtype = node.args[0], node.args[1], node.args[5]
        assert source.name not in found, "quantised twice"
        found[source.name] = (scale, dtype)
    return found


QUANTIZE = _qdq.quantize_per_tensor.default
DEQUANTIZE = _qdq.dequantize_per_tensor.default


def only(module: GraphModule, target: object) -> Node:
    (node,) = module.graph.find_nodes(op="call_function", target=target)
    return node


def test_the_first_convolution_stays_in_floats_and_the_classifier_is_known() -> None:
    graph = exported(network(lambda self, x: self.inner(x).relu(), inner=conv()))
    placement = graph.placement()
    assert reasons(placement) == {
        "first": "first convolution",
        "inner": "",
        "last": "",
        "classifier": "",
    }
    assert placement.classifiers == ("classifier",)
    assert list(placement.tensors.values()) == ["inner", "last", "classifier"]


def test_scores_that_are_only_enlarged_are_a_classifiers() -> None:
    class Scores(Network):
        def forward(self, x: Tensor) -> Tensor:
            return self.enlarge(super().forward(x))

    module = Scores(enlarge=nn.ConvTranspose2d(CHANNELS, CHANNELS, 2, 2))
    placement = exported(module).placement()
    assert placement.classifiers == ("classifier",)
    assert reasons(placement)["enlarge"] == "transposed convolution"
    assert placement.int8 == ("last", "classifier")


def test_a_transposed_convolution_stays_in_floats_and_what_follows_does_not() -> None:
    up = nn.ConvTranspose2d(CHANNELS, CHANNELS, 2, 2)
    placement = placed(exported(network(lambda self, x: self.up(x).relu(), up=up)))
    assert reasons(placement)["up"] == "transposed convolution"
    assert placement.int8 == ("last",)


@pytest.mark.parametrize(
    "pool", [lambda x: F.adaptive_avg_pool2d(x, 1), lambda x: adaptive_average_pool(x, 6)]
)
def test_a_branch_behind_global_pooling_stays_in_floats(pool: Callable[[Tensor], Tensor]) -> None:
    def middle(self: Network, x: Tensor) -> Tensor:
        mean = self.pooled(pool(x)).relu()
        return self.inner(x) + F.interpolate(mean, size=x.shape[-2:], mode="bilinear")

    placement = placed(exported(network(middle, pooled=conv(kernel=1), inner=conv())))
    assert reasons(placement)["pooled"] == "global pooling branch"
    assert placement.int8 == ("inner", "last")


def test_a_local_average_is_no_global_pooling() -> None:
    placement = placed(exported(network(lambda self, x: F.avg_pool2d(x, 2))))
    assert placement.int8 == ("last",)


def test_a_layer_that_is_asked_for_stays_in_floats() -> None:
    graph = exported(network(lambda self, x: self.inner(x).relu(), inner=conv()))
    kept = QDQGraph(graph, lambda name, dtype: 4.0, ["inner", "classifier"], unsigned=False)
    assert reasons(kept.placement)["inner"] == "asked for"
    assert kept.placement.int8 == ("last",)
    module = kept.with_dtype(torch.float32)
    assert not hasattr(module.get_submodule("network.inner"), INT8_WEIGHT)
    inner = next(node for node in module.graph.nodes if node.target == _aten.conv2d.default)
    for value in (*inner.args[:2], *next(iter(inner.users)).args[:2]):
        assert not isinstance(value, Node) or value.target not in {DEQUANTIZE, QUANTIZE}
    assert len(pairs(module)) == 1


@pytest.mark.parametrize("branch_first", [True, False])
def test_a_residual_branch_is_quantised_and_the_output_it_is_added_to_is_not(
    branch_first: bool,
) -> None:
    def middle(self: Network, x: Tensor) -> Tensor:
        y = self.second(self.inner(x).relu())
        return (x + y if branch_first else y + x).relu()

    graph = exported(network(middle, inner=conv(), second=conv()))
    placement = placed(graph)
    ((addition, skip),) = placement.skips.items()
    assert skip.target == _aten.relu.default
    assert placement.tensors[skip] == "inner"  # the branch is the input of the first convolution
    module = quantised(graph)
    added = module.graph.find_nodes(op="call_function", target=addition.target)[-1]
    assert sorted(str(value.target) for value in added.all_input_nodes) == [
        "aten.conv2d.default",
        str(DEQUANTIZE),
    ]


@pytest.mark.parametrize("branch_first", [True, False])
def test_a_bare_convolution_before_a_block_is_its_branch(branch_first: bool) -> None:
    """MobileNet's blocks end without a ReLU: both sides of the addition are convolutions."""

    def middle(self: Network, x: Tensor) -> Tensor:
        x = self.bare(x)
        y = self.second(self.inner(x).relu())
        return x + y if branch_first else y + x

    layers = {"bare": conv(kernel=1), "inner": conv(), "second": conv(kernel=1)}
    placement = placed(exported(network(middle, **layers)))
    ((_, skip),) = placement.skips.items()
    assert skip is placement.nodes["bare"]
    assert placement.nodes["second"] not in placement.tensors


def test_of_two_parallel_convolutions_one_is_the_branch() -> None:
    """ResNet's blocks that halve the picture have a convolution on either side."""
    layers = {"inner": conv(), "down": conv(kernel=1)}
    graph = exported(network(lambda self, x: (self.inner(x) + self.down(x)).relu(), **layers))
    placement = placed(graph)
    assert list(placement.skips.values()) == [placement.nodes["down"]]
    assert placement.tensors[placement.nodes["down"]] == "inner.skip"
    assert len(pairs(quantised(graph))) == 3  # read by both, the branch, read by the last


def concatenation(up_first: bool) -> Network:
    """Build a decoder step: a coarse map is resized and joined to a fine one."""

    def middle(self: Network, x: Tensor) -> Tensor:
        coarse = self.coarse(F.max_pool2d(x, 2)).relu()
        fine = self.fine(x).relu()
        up = F.interpolate(coarse, scale_factor=2.0, mode="bilinear")
        return self.join(torch.cat([up, fine] if up_first else [fine, up], 1)).relu()

    return network(middle, coarse=conv(), fine=conv(), join=conv(2 * CHANNELS))


@pytest.mark.parametrize("up_first", [True, False])
@pytest.mark.parametrize("largest", range(4))
def test_concatenated_tensors_share_the_largest_range(up_first: bool, largest: int) -> None:
    graph = exported(concatenation(up_first))
    names = placed(graph).tensors
    up = 0 if up_first else 1
    shared = ["join", "join.concat.0", "join.concat.1", f"join.concat.{up}.resized"]
    assert set(names.values()) == {"coarse", "fine", "last", *shared}
    assert names[placed(graph).concats[0]] == "join"
    ranges = {name: 1.0 + index for index, name in enumerate(names.values())}
    ranges[shared[largest]] = 127.0
    module = quantised(graph, ranges)
    scales = {names[node]: pairs(module)[node.name][0] for node in names}
    assert all(scales[name] == pytest.approx(1.0, HALF) for name in shared)
    alone = ["coarse", "last"]
    assert all(scales[name] == pytest.approx(ranges[name] / 127, HALF) for name in alone)


@pytest.mark.parametrize("up_first", [True, False])
def test_a_map_is_quantised_before_it_is_resized_for_a_concatenation(up_first: bool) -> None:
    module = quantised(exported(concatenation(up_first)))
    resizes = module.graph.find_nodes(op="call_function", target=_aten.upsample_bilinear2d.vec)
    assert resizes[-1].args[0].target == DEQUANTIZE  # the first one resizes the picture
    (user,) = resizes[-1].users
    assert user.target == QUANTIZE


def test_a_tensor_that_a_convolution_and_a_concatenation_read_is_quantised_once() -> None:
    def middle(self: Network, x: Tensor) -> Tensor:
        return self.join(torch.cat([x, self.inner(x).relu()], 1)).relu()

    graph = exported(network(middle, inner=conv(), join=conv(2 * CHANNELS)))
    names = placed(graph).tensors
    assert list(names.values()) == ["inner", "join", "last", "join.concat.1"]
    ranges = {"inner": 8.0, "join": 2.0, "last": 1.0, "join.concat.1": 4.0}
    found = pairs(quantised(graph, ranges))  # fails if a tensor has two
    scales = {name: found[node.name][0] * 127 for node, name in names.items()}
    assert scales == pytest.approx({"inner": 8, "join": 8, "last": 1, "join.concat.1": 8}, HALF)


def test_convolutions_that_read_one_tensor_share_its_pair() -> None:
    layers = {"left": conv(), "right": conv()}
    graph = exported(network(lambda self, x: (self.left(x) * self.right(x)).relu(), **layers))
    assert list(placed(graph).tensors.values()) == ["left", "last"]
    assert len(pairs(quantised(graph))) == 2


def test_what_is_pooled_is_quantised_before_and_behind_on_one_scale() -> None:
    """Pooling then reads and writes bytes: the largest value rounds to the largest byte."""
    graph = exported(network(lambda self, x: F.max_pool2d(x, 2)))
    (tensor,) = placed(graph).tensors
    assert tensor.target == _aten.max_pool2d.default
    module = quantised(graph)
    pool = only(module, _aten.max_pool2d.default)
    found = pairs(module)
    assert pool.args[0].target == DEQUANTIZE
    assert found[pool.args[0].args[0].args[0].name] == found[pool.name]


def test_what_is_not_pooled_alone_is_quantised_behind_the_pooling_only() -> None:
    graph = exported(network(lambda self, x: F.max_pool2d(x, 2) + x[:, :, ::2, ::2]))
    assert placed(graph).pooled == {}


class Unpooled(Network):
    """A small SegNet: pooled with indices, a convolution, and back."""

    def __init__(self) -> None:
        super().__init__(
            pool=MaxPoolPhases(), unpool=MaxUnpoolPhases(), encode=conv(), inner=conv()
        )

    def middle(self, x: Tensor) -> Tensor:
        pooled = self.pool(self.encode(x).relu())
        return self.unpool(self.inner(pooled.values).relu(), pooled)


def unpooled_by(chosen: Node) -> Node:
    """Return the map that results from unpooling values over their windows, channels first."""
    (windows,) = chosen.users
    (whole,) = windows.users
    assert (windows.target, whole.target) == (_aten.reshape.default, _aten.permute.default)
    return whole


def test_a_pooling_and_its_positions_read_the_same_bytes() -> None:
    """Rounding only one side of the comparison would create new ties."""
    module = quantised(exported(Unpooled(), 30))
    pool = only(module, _aten.max_pool2d.default)
    comparisons = module.graph.find_nodes(op="call_function", target=_aten.ge.Tensor)
    assert len(comparisons) == 3
    for comparison in comparisons:
        value, maximum = comparison.args
        while value.target == _aten.slice.Tensor:
            value = value.args[0]
        assert maximum is pool
        assert value.target == pool.args[0].target == DEQUANTIZE
        assert value.args[0] is pool.args[0].args[0]
    (reader,) = (user for user in pool.users if user.target == QUANTIZE)
    assert reader.args[1] == pool.args[0].args[0].args[1]
    assert len(reader.users) == 1
    chosen = module.graph.find_nodes(op="call_function", target=_aten.where.self)[-1]
    values = chosen.args[1].args[0].args[0]  # the values spread over their windows, channels last
    assert values.target == _aten.relu.default
    assert [user.target for user in unpooled_by(chosen).users] == [QUANTIZE]


def test_only_the_two_finest_levels_look_for_positions_among_bytes() -> None:
    graph = exported(SegNet(classes=11, width=1 / 16), 64)
    finest = [placed(graph).tensors[pooling] for pooling in placed(graph).pooled.values()]
    assert finest == ["encoder.1.0.conv", "encoder.2.0.conv"]


def test_positions_in_int8_are_those_of_max_unpool_on_the_same_bytes() -> None:
    """The input bytes decide, also for ties: PyTorch keeps the first of equal ones."""
    torch.manual_seed(0)
    network = Unpooled().eval()
    graph = exported(network, 30)
    given: dict[str, Tensor] = {}

    class Watched(Interpreter):
        def run_node(self, n: Node) -> Any:
            given[n.name] = super().run_node(n)
            return given[n.name]

    module = quantised(graph, 1.0)
    frames = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    Watched(module).run(frames)
    pool = only(module, _aten.max_pool2d.default)
    chosen = module.graph.find_nodes(op="call_function", target=_aten.where.self)[-1]
    spread = chosen.args[1].args[0].args[0]
    _, indices = F.max_pool2d(given[pool.args[0].name], 2, return_indices=True)
    expected = F.max_unpool2d(given[spread.name], indices, 2)
    assert torch.equal(given[unpooled_by(chosen).name], expected)
    bytes_of = given[pool.args[0].args[0].name]
    assert len(bytes_of.unique()) < 256  # so that windows tie


NON_NEGATIVE: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "relu": (F.relu, True),
    "relu in place": (nn.ReLU(inplace=True), True),
    "relu6": (F.relu6, True),
    "ReLU6": (nn.ReLU6(), True),
    "hardtanh of 0 and 1": (nn.Hardtanh(0, 1), True),
    "hardtanh": (nn.Hardtanh(-1, 1), False),
    "clamped at 0": (lambda x: x.clamp(min=0), True),
    "clamped at -1": (lambda x: x.clamp(-1, 1), False),
    "clamped above": (lambda x: x.clamp(max=6), False),
    "nothing": (lambda x: x * 1, False),
    "pooled": (lambda x: F.max_pool2d(F.relu(x), 2), True),
    "averaged": (lambda x: F.avg_pool2d(F.relu(x), 2), True),
    "average of anything": (lambda x: F.avg_pool2d(x, 2), False),
    "resized": (lambda x: F.interpolate(F.relu(x), scale_factor=2.0, mode="bilinear"), True),
    "resized with overshoot": (
        lambda x: F.interpolate(F.relu(x), scale_factor=2.0, mode="bicubic"),
        False,
    ),
    "padded with 0": (lambda x: F.pad(F.relu(x), (1, 1)), True),
    "padded with -1": (lambda x: F.pad(F.relu(x), (1, 1), value=-1.0), False),
    "cut": (lambda x: F.relu(x)[:, :, 1:3], True),
    "concatenated": (lambda x: torch.cat([F.relu(x), F.relu6(x)], 1), True),
    "concatenated with anything": (lambda x: torch.cat([F.relu(x), x * 1], 1), False),
    "chosen or zero": (lambda x: torch.where(x > 1, F.relu(x), torch.zeros(())), True),
    "chosen or one below": (lambda x: torch.where(x > 1, F.relu(x), torch.full((), -1.0)), False),
    "sum of two": (lambda x: F.relu(x) + x, False),
}


@pytest.mark.parametrize(("function", "expected"), NON_NEGATIVE.values(), ids=NON_NEGATIVE.keys())
def test_only_what_comes_out_of_a_relu_is_never_negative(
    function: Callable[[Tensor], Tensor], expected: bool
) -> None:
    class Last(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x * 2)

    example = torch.linspace(-3, 3, 64).reshape(1, 4, 4, 4)
    module = torch.export.export(Last(), (example.clone(),)).module()
    (last,) = module.graph.output_node().all_input_nodes
    assert never_negative(last) is expected
    if expected:
        assert (Last()(example) >= 0).all()


def test_unpooled_values_keep_the_sign_of_what_was_unpooled() -> None:
    """This gives SegNet's decoder unsigned ranges; odd sizes are padded with zeros."""
    tensors = placed(exported(Unpooled(), 31)).tensors
    (unpooled,) = (node for node, name in tensors.items() if name == "last")
    assert unpooled.target == _aten.pad.default
    assert never_negative(unpooled)


def test_unsigned_ranges_are_given_to_what_is_never_negative_alone() -> None:
    def middle(self: Network, x: Tensor) -> Tensor:
        return self.join(torch.cat([x, self.bare(x)], 1))

    graph = exported(network(middle, bare=conv(), join=conv(2 * CHANNELS, kernel=1)))
    names = placed(graph).tensors
    signed, unsigned = quantised(graph, 2.0), quantised(graph, 2.0, unsigned=True)
    assert {dtype for _, dtype in pairs(signed).values()} == {torch.int8}
    nodes = unsigned.graph.find_nodes(op="call_function", target=QUANTIZE)
    types = {(node.args[0].name, node.args[5]): node.args[1] for node in nodes}
    relu, bare, joined, last = (
        next(node.name for node, given in names.items() if given == name)
        for name in ("bare", "join.concat.1", "join", "last")
    )
    # The ReLU's output has 255 levels for the convolution, and 127 next to a signed tensor.
    assert types == pytest.approx(
        {
            (relu, torch.uint8): 2 / 255,
            (relu, torch.int8): 2 / 127,
            (bare, torch.int8): 2 / 127,
            (joined, torch.int8): 2 / 127,
            (last, torch.int8): 2 / 127,
        }
    )


def test_tensors_keep_their_names_when_their_first_reader_stays_in_floating_point() -> None:
    """So one calibration table fits every choice of layers."""

    def middle(self: Network, x: Tensor) -> Tensor:
        return self.left(x) + self.right(x)

    graph = exported(network(middle, left=conv(), right=conv()))
    whole = placed(graph)
    assert list(whole.tensors.values()) == ["left", "last", "left.skip"]
    part = graph.placement(["left", "classifier"])
    assert "left" not in part.int8
    assert list(part.tensors.values()) == ["left", "last"]  # its own output has no range
    (read,) = (node for node, name in part.tensors.items() if name == "left")
    assert part.nodes["right"].all_input_nodes[0].name == read.name
    ranges = {"left": 4.0, "last": 4.0}
    form = QDQGraph(graph, lambda name, _: ranges[name], ("left", "classifier"), unsigned=False)
    assert len(pairs(form.with_dtype(torch.float32))) == 2


class Normed(Network):
    """Batch norm after a convolution, and batch norm without a convolution before it."""

    def __init__(self) -> None:
        norm, lone = nn.BatchNorm2d(CHANNELS), nn.BatchNorm2d(CHANNELS)
        super().__init__(inner=conv(), norm=norm, lone=lone)
        with torch.no_grad():
            for layer in (norm, lone):
                for values in (layer.weight, layer.running_var):
                    values.uniform_(0.2, 4.0)
                for values in (layer.bias, layer.running_mean):
                    values.normal_()
            norm.weight[0] *= -1

    def middle(self, x: Tensor) -> Tensor:
        return self.lone(self.norm(self.inner(x)).relu()).relu()


class Logits(DeploymentGraph):
    """Returns the given logits."""

    def forward(self, frames: Tensor) -> Tensor:
        return self.network(self.preprocess(frames))

    def with_dtype(self, dtype: torch.dtype) -> Logits:
        return Logits(copy.deepcopy(self.network), self.spec, dtype)


def logits_of(module: nn.Module) -> tuple[Logits, Tensor]:
    """Wrap ``module``, and draw a frame."""
    frame = torch.randint(0, 256, (1, 64, 72, 3), dtype=torch.uint8)
    return Logits(module, InputSpec(width=32, height=32)), frame


@torch.no_grad()
def test_batch_norms_are_folded_or_written_out_and_change_nothing() -> None:
    graph, frame = logits_of(Normed())
    captured_graph = ExportedGraph(graph)
    found = captured_graph.module.graph.find_nodes
    assert not found(op="call_function", target=_aten.batch_norm.default)
    expected = graph(frame)
    torch.testing.assert_close(captured_graph.module(frame), expected, rtol=0, atol=1e-5)
    half = captured_graph.with_dtype(torch.float16)(frame).float()
    assert (half - expected).abs().max() <= 0.02 * expected.std()


def test_batch_norms_are_folded_in_fp32_for_fp16_too() -> None:
    graph = exported(Normed())
    half = graph.with_dtype(torch.float16).state_dict()
    single = graph.module.state_dict()
    assert half.keys() == single.keys()
    for name, values in single.items():
        assert torch.equal(half[name], values.to(half[name].dtype)), name


def test_weights_are_int8_per_output_channel_of_the_folded_filter() -> None:
    network = Normed()
    graph = exported(network)
    module = quantised(graph)
    levels = module.get_submodule("network.inner").get_buffer(INT8_WEIGHT)
    assert levels.dtype == torch.int8
    assert levels.abs().amax((1, 2, 3)).tolist() == [127] * CHANNELS
    norm = network.norm
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    folded = network.inner.weight.detach() * factor.detach().view(-1, 1, 1, 1)
    scale = folded.abs().amax((1, 2, 3), keepdim=True) / 127
    rounding = 0.5 + 127 * HALF  # to a level of a scale that is itself rounded
    assert (levels * scale - folded).abs().max() <= rounding * scale.max()
    assert (levels - folded / scale).abs().max() <= rounding


def test_fp16_has_the_same_levels_up_to_rounding() -> None:
    graph = QDQGraph(exported(Normed()), lambda name, dtype: 4.0, (), unsigned=False)
    single, half = (graph.with_dtype(dtype) for dtype in (torch.float32, torch.float16))
    for name in graph.placement.int8:
        levels = [
            module.get_submodule(f"network.{name}").get_buffer(INT8_WEIGHT).int()
            for module in (single, half)
        ]
        assert (levels[0] - levels[1]).abs().max() <= 1
        assert (levels[0] != levels[1]).float().mean() < 0.1
    assert pairs(single) == pairs(half)  # scales of tensors are not rounded to FP16
    assert half.get_parameter("network.first.weight").dtype == torch.float16


def test_the_fingerprint_is_that_of_the_graph_and_not_of_its_values() -> None:
    def layers(channels: int = 8, dilation: int = 1) -> Network:
        inner = nn.Conv2d(CHANNELS, channels, 3, padding=dilation, dilation=dilation)
        outer = conv(channels)
        return network(lambda self, x: self.outer(self.inner(x)), inner=inner, outer=outer)

    first, again = layers(), layers()
    with torch.no_grad():
        again.inner.weight.add_(1)
    original = exported(first).fingerprint
    assert exported(again).fingerprint == original
    others = [
        exported(layers(channels=6)),
        exported(layers(dilation=2)),
        exported(layers(), 34),
        exported(Normed()),
    ]
    assert original not in {other.fingerprint for other in others}


class Whole(Network):
    """Integers before its INT8 layers, and filters of -1, 0 and 1: rounding loses nothing.

    Args:
        lowest, highest: the limits at which the layers' inputs are clipped.
    """

    def __init__(self, lowest: float, highest: float) -> None:
        super().__init__(inner=conv())
        self._limits = (lowest, highest)
        with torch.no_grad():
            for layer in (self.inner, self.last):
                layer.weight.copy_(torch.randint(-1, 2, layer.weight.shape))
                layer.weight[:, 0] = 1.0
                layer.bias.round_()

    def middle(self, x: Tensor) -> Tensor:
        return self.inner((x * 80).round().clamp(*self._limits)).clamp(*self._limits)


@torch.no_grad()
def test_where_every_value_is_a_level_int8_is_exact() -> None:
    graph, frame = logits_of(Whole(-127, 127))
    computed = quantised(ExportedGraph(graph), 127.0)(frame)
    torch.testing.assert_close(computed, graph(frame), rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_what_lies_beyond_the_range_is_cut_off() -> None:
    free, frame = logits_of(Whole(-1000, 1000))
    cut, _ = logits_of(Whole(-128, 127))
    computed = quantised(ExportedGraph(free), 127.0)(frame)
    torch.testing.assert_close(computed, cut(frame), rtol=1e-4, atol=1e-3)
    assert (computed - free(frame)).abs().max() > 1


def test_a_tensor_without_a_range_is_refused() -> None:
    with pytest.raises(CalibrationError, match="has no range"):
        quantised(exported(Network()), 0.0)
