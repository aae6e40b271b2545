"""How each network is trained: one row of settings per network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pipeline.errors import TrainingError


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run.

    Attributes:
        steps: optimiser steps; the learning rate falls to zero over them (poly, power 0.9).
        batch: pictures per step.
        crop: (height, width) of the training crops, in pixels.
        scale: smallest and largest random zoom before cropping.
        rate: peak learning rate of AdamW.
        warmup: steps over which the rate climbs to its peak.
        encoder_rate: factor on the rate of pretrained layers.
        decay: weight decay on convolution weights.
        class_power: class weights are median frequency / frequency, to this power.
        overlap: weight of the soft Jaccard term beside cross-entropy.
        auxiliary: weight of the loss on a second head, for networks whose paper has one.
        teacher: registry name of a network whose registered weights are distilled into this one.
        distil: weight of the divergence from the teacher (see :mod:`pipeline.train.distil`).
        temperature: of the distillation: divides the scores of both; more is softer.
        dropout: share of the steps in which the network's dropout is on; less than 1 is early
            dropout (Liu et al. 2023, arXiv:2303.01500), for runs that leave a network underfitted.
        ema: decay of the averaged weights, which are the ones exported.
        synthetic: share of training pictures drawn by ``calibration.scenes.synthetic``.
        validate_every: steps between validations.
        patience: validations without a better mIoU after which the run ends; by default more than
            any run has, since the rate should fall to zero.
        qat: simulate INT8 while training (see :mod:`pipeline.train.qat`).
    """

    steps: int = 3000
    batch: int = 8
    crop: tuple[int, int] = (288, 384)
    scale: tuple[float, float] = (0.7, 1.5)
    rate: float = 2e-3
    warmup: int = 100
    encoder_rate: float = 1.0
    decay: float = 1e-2
    class_power: float = 0.7
    overlap: float = 1.0
    auxiliary: float = 0.0
    teacher: str | None = None
    distil: float = 0.0
    temperature: float = 2.0
    dropout: float = 1.0
    ema: float = 0.995
    synthetic: float = 0.0
    validate_every: int = 200
    patience: int = 1000
    qat: bool = False


#: EfficientNet-Lite0's pretrained encoder learns at a fifth of the head's rate.
_LITE = Recipe(batch=6, encoder_rate=0.2, class_power=0.5, ema=0.99)

#: Section 4.1 of the paper, for the second loss.
_PSPNET = Recipe(batch=4, rate=1e-3, encoder_rate=0.5, auxiliary=0.4)

#: Networks of the width of VGG16, which cost a CPU seconds per picture. From the same weights, 40
#: steps of SegNet at 8e-4 ended at a higher loss than at 3e-4 (docs/experiments.md).
_VGG = Recipe(
    steps=2200,
    batch=2,
    crop=(240, 320),
    scale=(0.65, 1.3),
    rate=3e-4,
    warmup=40,
    encoder_rate=0.5,
    class_power=0.75,
    teacher="deeplab_v3plus_lite",
    distil=0.5,
    validate_every=600,  # a validation takes a CPU as long as 70 steps
)

#: VGG16 as published, without batch norm, under fully connected layers that start from random
#: weights: a lower rate. Four pictures per step, since updating 134 M weights costs as much as one.
_PLAIN_VGG = replace(_VGG, batch=4, rate=2e-4, warmup=60)

#: The same encoder at output stride 8, where four times as many cells are computed.
_LITE_DENSE = replace(
    _LITE,
    steps=3000,
    batch=4,
    encoder_rate=0.4,
    class_power=0.6,
    teacher="deeplab_v3plus_lite",
    distil=0.5,
    validate_every=600,
)

#: For networks that are compared with each other: the same encoder and schedule, from ImageNet's
#: weights, without a teacher. Runs of 5000 steps gained one point after step 1500.
_COMPARED = replace(_LITE, steps=1500, batch=4, encoder_rate=0.4, validate_every=500)

#: 1800 steps at an encoder's rate of 0.2 left it underfitted, and with crops smaller than the
#: pictures that it sees in use it stopped at 76.5 (docs/experiments.md).
_V3PLUS = replace(
    _LITE,
    steps=4500,
    batch=4,
    crop=(360, 480),
    scale=(0.75, 1.75),
    encoder_rate=0.4,
    validate_every=600,
)

#: From random weights, with the paper's batch size, crops and rate. It gains from long runs; the
#: time of a CPU limits the steps, and dropout in all of them would leave it underfitted.
_DENSENET = Recipe(
    steps=5000,
    batch=3,
    crop=(224, 224),
    rate=1e-3,
    class_power=0.5,
    dropout=0.5,
    ema=0.99,
    validate_every=500,
)

#: SegNet's small forms, small enough for a large batch on a CPU.
_SEGNET_SMALL = Recipe(
    steps=2300,
    batch=8,
    crop=(240, 320),
    scale=(0.6, 1.4),
    rate=2e-3,
    warmup=60,
    encoder_rate=0.5,
    ema=0.99,
    synthetic=0.12,
    validate_every=200,
)

#: One row per network of the registry.
RECIPES = {
    "fcn8s_lite": _COMPARED,
    "unet_lite": _COMPARED,
    "deeplab_v1_lite": _COMPARED,
    "dilatednet_lite": _COMPARED,
    "deeplab_v2_lite": _COMPARED,
    "pspnet_cut5": _COMPARED,
    "deeplab_v3_cut5": _COMPARED,
    "deconvnet_lite": _COMPARED,  # from the encoder of segnet_lite, a quarter of VGG16 too
    "deeplab_v3_lite": _LITE_DENSE,
    "deeplab_v3plus_lite": _V3PLUS,
    # Its pictures are CamVid's enlarged, where poles and pedestrians are two to four points better.
    "deeplab_v3plus_lite2": replace(_V3PLUS, steps=2000, crop=(480, 640), validate_every=500),
    # From the release's Cityscapes weights.
    "ddrnet23_slim": replace(_COMPARED, crop=(360, 480)),
    "fc_densenet56": _DENSENET,
    "fc_densenet67": _DENSENET,
    "fc_densenet103": _DENSENET,
    "pspnet_lite": _LITE_DENSE,
    "pspnet_resnet50": _PSPNET,
    "pspnet_resnet101": _PSPNET,
    "deeplab_v2_resnet101": replace(_PSPNET, auxiliary=0.0),
    "fcn_resnet50": replace(_PSPNET, auxiliary=0.0),
    "fcn_resnet101": replace(_PSPNET, auxiliary=0.0),
    "deeplab_v3_resnet50": replace(_PSPNET, auxiliary=0.0),
    "deeplab_v3_resnet101": replace(_PSPNET, auxiliary=0.0),
    "deconvnet": _VGG,
    "deeplab_v1": _PLAIN_VGG,
    "deeplab_v2_vgg16": _PLAIN_VGG,
    "dilatednet_frontend": _PLAIN_VGG,
    "dilatednet_context": _PLAIN_VGG,
    "dilatednet_context7": _PLAIN_VGG,
    "fcn32s": _PLAIN_VGG,
    "fcn16s": _PLAIN_VGG,
    "fcn8s": _PLAIN_VGG,
    "segnet": _VGG,
    "unet": _PLAIN_VGG,
    "segnet_lite": _SEGNET_SMALL,
    "segnet_basic": replace(_SEGNET_SMALL, encoder_rate=1.0),  # from random weights
}


def recipe_of(name: str) -> Recipe:
    """Look up the recipe of a network by its registry name.

    Raises:
        TrainingError: it has none; another network's settings could ruin its encoder.
    """
    if name in RECIPES:
        return RECIPES[name]
    raise TrainingError(
        f"no recipe is known for {name}, expected a row in RECIPES of pipeline/train/recipe.py; "
        "add one, or train another network"
    )


#: Rate and steps of further training of trained weights, as shares of a whole training's.
FURTHER_RATE, FURTHER_STEPS = 0.4, 0.4


def fine_tuning_recipe(recipe: Recipe) -> Recipe:
    """Derive the recipe for further training of trained weights from a network's own ``recipe``."""
    return replace(
        recipe,
        steps=math.ceil(FURTHER_STEPS * recipe.steps),
        rate=FURTHER_RATE * recipe.rate,
        warmup=min(recipe.warmup, 20),
        validate_every=max(1, recipe.validate_every // 2),
    )


#: Epochs of quantisation-aware fine-tuning.
QAT_EPOCHS = 4


def qat_recipe(recipe: Recipe, pictures: int) -> Recipe:
    """Derive quantisation-aware fine-tuning on ``pictures`` from a network's own recipe.

    Trained weights need to move by fractions of an INT8 level only: a few epochs at a fiftieth of
    the rate, validated after each. There is no second head, since it would start from random
    weights and disturb the encoder.
    """
    steps = math.ceil(QAT_EPOCHS * pictures / recipe.batch)
    return replace(
        recipe,
        steps=steps,
        rate=recipe.rate / 50,
        warmup=5,
        auxiliary=0.0,
        validate_every=max(1, steps // QAT_EPOCHS),
        qat=True,
    )
