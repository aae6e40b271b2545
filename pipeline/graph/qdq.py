"""The deployment graph with INT8 convolutions as Q/DQ pairs, which compilers export."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from calibration.quantizer.arguments import argument
from calibration.quantizer.half_scales import too_fine
from calibration.quantizer.placement import CONVOLUTIONS, TRANSPOSED, convolution_name, place
from calibration.quantizer.quantizer import RoadQuantizer, observe_weights, set_ranges
from calibration.records import Dtype
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.fp16 import keep_in_fp32

#: Name of a convolution's INT8 weights in its module.
INT8_WEIGHT = "weight_int8"

#: Tensor name (see ``Placement.tensors``) and ``int8`` or ``uint8`` -> largest magnitude kept.
Thresholds = Callable[[str, Dtype], float]


class QDQGraph:
    """An exported graph whose convolutions are quantised where the placement says so.

    Args:
        exported: the graph in floating point.
        thresholds: ranges of its quantised tensors.
        high_precision: convolutions that stay in floating point in addition to those of the rules,
            with the reasons if it is a mapping.
        unsigned: use 0..255 for tensors that are never negative; TensorRT takes only signed bytes.
        fp32: operations with values beyond FP16 -> why; see :mod:`pipeline.graph.fp16`.
    """

    def __init__(
        self,
        exported: ExportedGraph,
        thresholds: Thresholds,
        high_precision: Collection[str],
        unsigned: bool,
        fp32: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.exported = exported
        given = high_precision if isinstance(high_precision, Mapping) else {}
        self.high_precision = dict.fromkeys(high_precision, "asked for") | dict(given)
        placement = exported.placement(high_precision)
        if not unsigned:  # TensorRT's form
            self.high_precision |= too_fine(exported.module, placement, thresholds)
        self.placement = exported.placement(self.high_precision)
        self._thresholds = thresholds
        self._unsigned = unsigned
        self._fp32 = fp32

    def with_dtype(self, dtype: torch.dtype, free_batch: bool = False) -> GraphModule:
        """Return the graph for export, its unquantised operations in ``dtype``.

        Scales are FP32; in signed graphs their values can be represented in FP16.
        """
        module = self.exported.with_dtype(dtype, free_batch)
        placement = place(module, self.high_precision)
        names = {node.name: name for node, name in placement.sites.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prepared = prepare_pt2e(module, RoadQuantizer(placement, self._unsigned))
            set_ranges(prepared, lambda node, kind: self._thresholds(names[node], kind))
            observe_weights(prepared)
            convolutions = [convolution_name(node) for node in _convolutions(prepared)]
            converted: GraphModule = convert_pt2e(prepared)
        _name_weights(converted, convolutions)
        if dtype == torch.float16 and self._fp32:
            keep_in_fp32(converted, self.exported.module, self._fp32)
        return converted


def _convolutions(module: GraphModule) -> list[Node]:
    return [node for node in module.graph.nodes if node.target in CONVOLUTIONS | TRANSPOSED]


def _name_weights(module: GraphModule, names: list[str | None]) -> None:
    """Move INT8 weights into their convolution's module, so that exports can name it.

    The conversion folds them into attributes called ``_frozen_param0`` and so on.
    """
    for node, name in zip(_convolutions(module), names, strict=True):
        weight = argument(node, "weight")
        while isinstance(weight, Node) and weight.op != "get_attr":
            weight = weight.all_input_nodes[0]
        assert isinstance(weight, Node)
        folded = str(weight.target)
        if folded.startswith("_frozen_param"):
            owner = module.get_submodule(f"network.{name}")
            owner.register_buffer(INT8_WEIGHT, getattr(module, folded))
            weight.target = f"network.{name}.{INT8_WEIGHT}"
            delattr(module, folded)
    module.recompile()
