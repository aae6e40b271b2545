"""Which parts of each network follow its paper, its release, or neither: the rows of a table."""

from __future__ import annotations

from dataclasses import dataclass

from models.small_networks import SMALL
from pipeline.cli.tables import markdown_table


@dataclass(frozen=True)
class Faithfulness:
    """One row.

    Attributes:
        networks: registry names.
        paper: what follows the paper.
        release: what follows the authors' code, or torchvision's, where the paper says otherwise or
            nothing.
        differs: what follows neither, and why.
        training: how its recipe differs from the paper's training.
        tests: functions below ``tests/`` that show it; where there are none, ``untested`` says why.
        untested: what no test shows, and why.
    """

    networks: tuple[str, ...]
    paper: str
    release: str
    differs: str
    training: str
    tests: tuple[str, ...]
    untested: str = ""


_FIELD = "test_the_spec_tells_the_receptive_field_of_the_built_network"
_SIZE = "test_parameters_are_those_that_the_paper_or_its_successors_give"
_FIXED = "test_bilinear_upsamplings_that_the_releases_fix_do_not_learn"
_DILATED = "test_the_releases_dilate_every_block_of_the_last_two_stages"
_DECIMATED = "test_deeplab_takes_vgg16s_fully_connected_layers_decimated"
_STAGED = "test_a_network_goes_on_from_the_stage_before_it"
_CEILED = "test_ceil_pooling_is_pytorchs_ceil_mode_behind_a_relu"
_LOGITS = "test_its_weights_compute_torchvisions_logits"

ROWS = (
    Faithfulness(
        ("fcn32s", "fcn16s", "fcn8s"),
        "VGG16 with fc6 and fc7 as convolutions; skips; stages one after the other",
        "transposed convolutions stay bilinear, scores start at zero",
        "fc6 is padded by 3, not the picture by 100: maps align with the frame",
        "AdamW, warm-up; class weights, soft Jaccard and a teacher besides cross-entropy",
        (_SIZE, _FIXED, "test_fcn_starts_with_scores_of_zero", _STAGED, _CEILED),
    ),
    Faithfulness(
        ("fcn_resnet50", "fcn_resnet101"),
        "only the idea",
        "torchvision's network, whose weights load",
        "no auxiliary head: an engine does not need it",
        "no second loss; AdamW",
        ("test_every_tensor_of_torchvisions_has_its_place", _LOGITS),
    ),
    Faithfulness(
        ("deconvnet",),
        "layers, channels, unpooling, batch norm",
        "no dropout",
        "whole pictures of at least 224 per side, no proposals: a camera's frame is one picture",
        "one stage, where the paper goes from single objects to all proposals; AdamW",
        (_SIZE, "test_deconvnet_has_no_dropout"),
        "the ensemble with FCN is `evaluate --ensemble`; its CRF is left out",
    ),
    Faithfulness(
        ("segnet",),
        "all layers, indices of the poolings",
        "the last convolution is the 3x3 classifier",
        "odd sizes are floored, where Caffe ceils: unpooling restores the recorded size",
        "AdamW where the paper has SGD; VGG16's batch norms fitted to pictures",
        (_SIZE, "test_segnet_is_convolutions_and_unpooling_only"),
    ),
    Faithfulness(
        ("segnet_basic",),
        "four 7x7 stages; a decoder without ReLU and bias",
        "nothing",
        "no local contrast normalisation: the graph normalises; no decoder biases, which the "
        "release has: batch norm cancels them",
        "AdamW; class weights to a power",
        (_SIZE, "test_segnet_basics_decoder_has_no_bias_as_the_paper_says"),
    ),
    Faithfulness(
        ("unet",),
        "levels, channels, normal weights of variance 2 / N",
        "ReLU after each transposed convolution, dropout after levels 4 and 5",
        "padded convolutions, so that maps align with the frame; may start from VGG16",
        "AdamW, batch of 4; the paper: SGD, one tile a step, elastic deformation, border weights",
        ("test_unet_starts_as_its_paper_says", "test_unet_has_the_releases_relus_and_dropouts"),
    ),
    Faithfulness(
        ("fc_densenet56", "fc_densenet67", "fc_densenet103"),
        "blocks, growth, He-uniform weights in every layer, crops of 224, batch of 3",
        "odd sizes floored",
        "running statistics in batch norm where the authors evaluate with the batch's, which gain "
        "2.5 mIoU with the weights here: an engine folds the former, so only they are offered",
        "AdamW where the paper has RMSprop; dropout ends halfway; no phase on whole pictures",
        (_SIZE, "test_every_layer_of_fc_densenet_starts_he_uniform"),
    ),
    Faithfulness(
        ("deeplab_v1",),
        "LargeFOV; fc6 and fc7 decimated from VGG16's, where a file has them",
        "3x3 poolings, corners aligned",
        "no CRF: it is not a network; the paper does not say which channels the decimation keeps, "
        "here every fourth; even sizes are floored",
        "AdamW, warm-up, a teacher",
        (_SIZE, _DECIMATED, "test_deeplab_v1_keeps_stride_8_with_dilation_and_one_wide_fc6"),
    ),
    Faithfulness(
        ("dilatednet_frontend", "dilatednet_context", "dilatednet_context7"),
        "dilations, the context module as the identity, stages one after the other",
        "upsampling stays bilinear",
        "zeros for padding where the authors reflect the picture; the transposed convolution is "
        "not grouped, but zero between classes, which is the same",
        "AdamW; front end and context together by default",
        (_FIXED, _STAGED, "test_the_context_module_sees_what_table_1_says"),
    ),
    Faithfulness(
        ("deeplab_v2_vgg16",),
        "four branches whose scores are summed; fc6 and fc7 of each decimated from VGG16's",
        "3x3 poolings, corners aligned",
        "one scale, no CRF; as for `deeplab_v1` otherwise",
        "AdamW, warm-up, a teacher",
        (_DECIMATED, "test_deeplab_v2_sums_the_scores_of_four_rates"),
    ),
    Faithfulness(
        ("deeplab_v2_resnet101",),
        "four branches whose scores are summed, output stride 8",
        "every block of the last two stages is dilated; corners aligned",
        "torchvision's ResNet, whose weights are available: the stride is in the 3x3 convolution; "
        "one scale, no CRF",
        "AdamW; batch norms learn, which the release freezes",
        (_FIELD, _DILATED),
    ),
    Faithfulness(
        ("pspnet_resnet50", "pspnet_resnet101"),
        "1, 2, 3 and 6 bins of N / 4 channels each; an auxiliary loss of weight 0.4",
        "every block of the last two stages is dilated; corners aligned",
        "torchvision's ResNet: one 7x7 convolution where the release has three 3x3",
        "AdamW where the paper has SGD; batch of 4 where it has 16",
        (_FIELD, _DILATED, "test_a_pyramid_level_has_a_quarter_of_the_channels_not_one"),
    ),
    Faithfulness(
        ("deeplab_v3_resnet50", "deeplab_v3_resnet101"),
        "ASPP with image features, its rates at output strides 16 and 8; multi-grid as an option",
        "torchvision's: a 3x3 convolution before the classifier, the first block of a dilated "
        "stage keeps the previous dilation, corners not aligned; its weights load",
        "no auxiliary head: an engine does not need it",
        "AdamW; no second run at output stride 8 with frozen batch norms",
        (_LOGITS, "test_multi_grid_is_an_option_of_deeplab_v3"),
    ),
    Faithfulness(
        ("ddrnet23_slim",),
        "two branches, their exchanges, DAPPM",
        "names and shapes: the authors' Cityscapes weights load",
        "maps are resized to those they are added to, the same at multiples of 8; no second head",
        "AdamW; starts from the Cityscapes weights; no second loss",
        (_SIZE, _FIELD),
    ),
    Faithfulness(
        tuple(spec.name for spec in SMALL),
        "the idea that the paper is known for",
        "nothing",
        "ours, for small boards: other encoders and narrower heads; each file says which",
        "from ImageNet's weights, AdamW; the compared ones are trained alike",
        ("test_what_is_compared_is_trained_alike", _FIELD),
    ),
)

_TEXT = """\
## Paper, release, or neither

Authors' code does not always match the paper. The table says which of the two each network follows,
what follows neither, and how its training differs from the paper's: all networks are trained with
AdamW and a rate that falls to zero (`pipeline/train/recipe.py`). `train --weights` starts a network
from the stage before it: `fcn16s` from weights of `fcn32s`, `fcn8s` from `fcn16s`,
`dilatednet_context` and `dilatednet_context7` from `dilatednet_frontend`, fc6 and fc7 included.
"""

_LECTURES = """\
*Shown by*: tests; find them with `grep -r NAME tests`.

Lectures sometimes show this differently. Two 3x3 convolutions see 5x5 pixels, with a pooling
between them 8x8, and one of rate 2 sees 5x5, as computed here. Pyramid pooling is often drawn with
one channel per level; the paper has a quarter of the map's channels. DeepLab v3's branches are
often drawn as a sum; they are concatenated, and a 1x1 convolution combines them with learned
weights.
"""


def section() -> str:
    """Write the section of the page."""
    rows = markdown_table(
        ("network", "like the paper", "like the release", "like neither", "training", "shown by"),
        (
            (
                ", ".join(f"`{name}`" for name in row.networks),
                row.paper,
                row.release,
                row.differs,
                row.training,
                "; ".join([*(f"`{test}`" for test in row.tests), *filter(None, [row.untested])]),
            )
            for row in ROWS
        ),
    )
    return f"{_TEXT}\n{rows}\n{_LECTURES}"
