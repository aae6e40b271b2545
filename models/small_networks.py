"""Rows of the registry: our small forms of the papers' networks, for boards and processors.

Those on the first five stages of EfficientNet-Lite0 at output stride 8 differ in one idea each.
``fcn8s_lite`` and ``unet_lite`` need coarser maps and have all stages, ``deconvnet_lite`` has a
narrow VGG16.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from models import papers
from models.spec import Figures, InputSpec, ModelSpec

#: EfficientNet-Lite was trained on (grey level - 127) / 128.
_EFFICIENTNET_INPUT = InputSpec(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)

_on_lite0 = partial(ModelSpec, input=_EFFICIENTNET_INPUT, encoder="efficientnet_lite0")

SMALL = (
    _on_lite0(
        name="fcn8s_lite",
        builder="models.fcn:build_fcn8s_lite",
        paper=papers.FCN_LITE,
        output_stride=32,
        figures=Figures(3_802_569, 1.5, 979),
    ),
    ModelSpec(
        name="deconvnet_lite",
        builder="models.deconvnet:build_deconvnet",
        paper=papers.DECONVNET_LITE,
        output_stride=32,
        minimum_size=224,
        figures=Figures(3_470_683, 7.1, 788),
        variant={"width": 0.25, "fully": 512},
        encoder="vgg16",
    ),
    ModelSpec(
        name="segnet_lite",
        builder="models.segnet:build_segnet",
        paper=papers.SEGNET_LITE,
        output_stride=32,
        figures=Figures(1_846_571, 6.9, 404),
        variant={"width": 0.25},
        encoder="vgg16",
    ),
    _on_lite0(
        name="unet_lite",
        builder="models.unet:build_unet_lite",
        paper=papers.UNET,
        output_stride=32,
        figures=Figures(3_773_675, 3.6, 979),
    ),
    _on_lite0(
        name="deeplab_v1_lite",
        builder="models.deeplab_v1:build_deeplab_v1_lite",
        paper=papers.DEEPLAB_V1_LITE,
        output_stride=8,
        figures=Figures(1_028_715, 3.0, 555),
    ),
    _on_lite0(
        name="dilatednet_lite",
        builder="models.dilatednet:build_dilatednet_lite",
        paper=papers.DILATION,
        output_stride=8,
        figures=Figures(1_459_511, 4.1, 811),
        variant={"dilations": (1, 1, 2, 4, 8, 1)},
    ),
    _on_lite0(
        name="deeplab_v2_lite",
        builder="models.deeplab_v2:build_deeplab_v2_lite",
        paper=papers.DEEPLAB_V2,
        output_stride=8,
        figures=Figures(745_164, 2.2, 731),
    ),
    _on_lite0(
        name="pspnet_cut5",
        builder="models.pspnet:build_pspnet_lite",
        paper=papers.PSPNET,
        output_stride=8,
        figures=Figures(973_259, 2.8, 363, global_context=True),
        variant={"stages": 5},
    ),
    _on_lite0(
        name="pspnet_lite",
        builder="models.pspnet:build_pspnet_lite",
        paper=papers.PSPNET,
        output_stride=8,
        figures=Figures(3_800_843, 10.1, 875, global_context=True),
    ),
    _on_lite0(
        name="deeplab_v3_cut5",
        builder="models.deeplab_v3:build_deeplab_v3_lite",
        paper=papers.DEEPLAB_V3,
        output_stride=8,
        figures=Figures(1_349_099, 3.8, 939, global_context=True),
        variant={"stages": 5},
    ),
    _on_lite0(
        name="deeplab_v3_lite",
        builder="models.deeplab_v3:build_deeplab_v3_lite",
        paper=papers.DEEPLAB_V3,
        output_stride=8,
        minimum_size=16,
        figures=Figures(4_379_275, 11.9, 1451, global_context=True),
        output_strides=(16,),
    ),
    _on_lite0(
        name="deeplab_v3plus_lite",
        builder="models.deeplab_v3:build_deeplab_v3plus_lite",
        paper=papers.DEEPLAB_V3PLUS,
        output_stride=16,
        figures=Figures(4_492_291, 4.8, 1507, global_context=True),
    ),
    ModelSpec(
        name="deeplab_v3plus_lite2",
        builder="models.deeplab_v3:build_deeplab_v3plus_lite",
        paper=papers.DEEPLAB_V3PLUS,
        output_stride=16,
        figures=Figures(6_010_563, 10.6, 1755, global_context=True),
        variant={"lite": 2},
        input=replace(_EFFICIENTNET_INPUT, width=640, height=480),
        encoder="efficientnet_lite2",
    ),
)
