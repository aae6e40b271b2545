"""The table of networks. Importing it imports no torch: a camera needs names, not layers."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING

from models import papers
from models.errors import ModelError
from models.small_networks import SMALL
from models.spec import Figures, ModelSpec

if TYPE_CHECKING:
    from torch import nn

_SPECS = (
    ModelSpec(
        name="fcn32s",
        builder="models.fcn:build_fcn",
        paper=papers.FCN,
        output_stride=32,
        figures=Figures(134_801_227, 74.6, 436),
        variant={"stride": 32},
        encoder="vgg16",
    ),
    ModelSpec(
        name="fcn16s",
        builder="models.fcn:build_fcn",
        paper=papers.FCN16,
        output_stride=32,
        figures=Figures(134_437_094, 74.6, 468),
        variant={"stride": 16},
        earlier_stage="fcn32s",
        encoder="vgg16",
    ),
    ModelSpec(
        name="fcn8s",
        builder="models.fcn:build_fcn",
        paper=papers.FCN8,
        output_stride=32,
        figures=Figures(134_348_929, 74.6, 468),
        variant={"stride": 8},
        earlier_stage="fcn16s",
        encoder="vgg16",
    ),
    ModelSpec(
        name="fcn_resnet50",
        builder="models.fcn_resnet:build_fcn_resnet",
        paper=papers.FCN_RESNET,
        output_stride=8,
        figures=Figures(32_951_883, 91.2, 451),
        variant={"depth": 50},
        encoder="resnet50",
    ),
    ModelSpec(
        name="fcn_resnet101",
        builder="models.fcn_resnet:build_fcn_resnet",
        paper=papers.FCN_RESNET,
        output_stride=8,
        figures=Figures(51_944_011, 142.3, 995),
        variant={"depth": 101},
        encoder="resnet101",
    ),
    ModelSpec(
        name="deconvnet",
        builder="models.deconvnet:build_deconvnet",
        paper=papers.DECONVNET,
        output_stride=32,
        minimum_size=224,
        figures=Figures(251_805_003, 121.7, 788),
        encoder="vgg16",
    ),
    ModelSpec(
        name="segnet",
        builder="models.segnet:build_segnet",
        paper=papers.SEGNET,
        output_stride=32,
        figures=Figures(29_449_355, 106.3, 404),
        encoder="vgg16",
    ),
    ModelSpec(
        name="segnet_basic",
        builder="models.segnet:build_segnet_basic",
        paper=papers.SEGNET_BASIC,
        output_stride=16,
        figures=Figures(1_416_331, 59.2, 202),
    ),
    ModelSpec(
        name="unet",
        builder="models.unet:build_unet",
        paper=papers.UNET,
        output_stride=16,
        figures=Figures(31_032_395, 127.4, 204),
        encoder="vgg16_pairs",
    ),
    ModelSpec(
        name="fc_densenet56",
        builder="models.fc_densenet:build_fc_densenet",
        paper=papers.FC_DENSENET56,
        output_stride=32,
        figures=Figures(1_376_795, 30.7, 826),
        variant={"layers": (4,) * 11, "growth": 12},
    ),
    ModelSpec(
        name="fc_densenet67",
        builder="models.fc_densenet:build_fc_densenet",
        paper=papers.FC_DENSENET67,
        output_stride=32,
        figures=Figures(3_463_243, 72.0, 1016),
        variant={"layers": (5,) * 11, "growth": 16},
    ),
    ModelSpec(
        name="fc_densenet103",
        builder="models.fc_densenet:build_fc_densenet",
        paper=papers.FC_DENSENET103,
        output_stride=32,
        figures=Figures(9_322_091, 69.1, 2294),
        variant={"layers": (4, 5, 7, 10, 12, 15, 12, 10, 7, 5, 4), "growth": 16},
    ),
    ModelSpec(
        name="deeplab_v1",
        builder="models.deeplab_v1:build_deeplab_v1",
        paper=papers.DEEPLAB_V1,
        output_stride=8,
        figures=Figures(20_495_179, 82.8, 443),
        encoder="vgg16",
    ),
    ModelSpec(
        name="dilatednet_frontend",
        builder="models.dilatednet:build_dilatednet",
        paper=papers.DILATEDNET,
        output_stride=8,
        figures=Figures(134_336_587, 390.1, 388),
        encoder="vgg16",
    ),
    ModelSpec(
        name="dilatednet_context",
        builder="models.dilatednet:build_dilatednet",
        paper=papers.DILATION8,
        output_stride=8,
        figures=Figures(134_344_419, 390.2, 916),
        variant={"dilations": (1, 1, 2, 4, 8, 16, 1)},
        earlier_stage="dilatednet_frontend",
        encoder="vgg16",
    ),
    ModelSpec(
        name="dilatednet_context7",
        builder="models.dilatednet:build_dilatednet",
        paper=papers.DILATION,
        output_stride=8,
        figures=Figures(134_343_319, 390.2, 660),
        variant={"dilations": (1, 1, 2, 4, 8, 1)},
        earlier_stage="dilatednet_frontend",
        encoder="vgg16",
    ),
    ModelSpec(
        name="deeplab_v2_vgg16",
        builder="models.deeplab_v2:build_deeplab_v2_vgg16",
        paper=papers.DEEPLAB_V2,
        output_stride=8,
        figures=Figures(37_836_652, 129.6, 619),
        encoder="vgg16",
    ),
    ModelSpec(
        name="deeplab_v2_resnet101",
        builder="models.deeplab_v2:build_deeplab_v2_resnet",
        paper=papers.DEEPLAB_V2,
        output_stride=8,
        figures=Figures(43_311_212, 119.0, 1411),
        variant={"depth": 101},
        encoder="resnet101",
    ),
    ModelSpec(
        name="pspnet_resnet50",
        builder="models.pspnet:build_pspnet",
        paper=papers.PSPNET,
        output_stride=8,
        figures=Figures(46_587_467, 116.8, 499, global_context=True),
        variant={"depth": 50},
        encoder="resnet50",
    ),
    ModelSpec(
        name="pspnet_resnet101",
        builder="models.pspnet:build_pspnet",
        paper=papers.PSPNET,
        output_stride=8,
        figures=Figures(65_579_595, 167.9, 1043, global_context=True),
        variant={"depth": 101},
        encoder="resnet101",
    ),
    ModelSpec(
        name="deeplab_v3_resnet50",
        builder="models.deeplab_v3:build_deeplab_v3_resnet",
        paper=papers.DEEPLAB_V3,
        output_stride=16,
        figures=Figures(39_636_299, 32.5, 1051, global_context=True),
        output_strides=(8,),
        variant={"depth": 50},
        encoder="resnet50",
    ),
    ModelSpec(
        name="deeplab_v3_resnet101",
        builder="models.deeplab_v3:build_deeplab_v3_resnet",
        paper=papers.DEEPLAB_V3,
        output_stride=16,
        figures=Figures(58_628_427, 45.5, 1595, global_context=True),
        output_strides=(8,),
        variant={"depth": 101},
        encoder="resnet101",
    ),
    ModelSpec(
        name="ddrnet23_slim",
        builder="models.ddrnet:build_ddrnet23_slim",
        paper=papers.DDRNET,
        output_stride=64,
        figures=Figures(5_695_467, 3.0, 1775, global_context=True),
        encoder="ddrnet23_slim",
    ),
)


def _table(specs: tuple[ModelSpec, ...]) -> dict[str, ModelSpec]:
    table = {spec.name: spec for spec in specs}
    if len(table) != len(specs):
        raise ValueError("two networks are registered under one name")
    return table


MODELS = _table((*_SPECS, *SMALL))


def model_spec(name: str) -> ModelSpec:
    """Look up a network by its registry name.

    Raises:
        ModelError: no such network; the message lists all of them and the nearest name.
    """
    if name in MODELS:
        return MODELS[name]
    near = difflib.get_close_matches(name, MODELS, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    raise ModelError(f"unknown network {name!r}; {guess}known: {', '.join(MODELS)}")


def build_model(spec: ModelSpec) -> nn.Module:
    """Build the network of ``spec`` with random weights, in training mode."""
    module, function = spec.builder.split(":")
    network: nn.Module = getattr(import_module(module), function)(spec.classes, **spec.variant)
    return network
