"""Start a network from trained or published weights, also if they fit only in part."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from models.deconvnet import DeconvNet
from models.errors import WeightsError
from models.pretrained import encoder_state, load_encoder
from models.registry import build_model, model_spec
from models.segnet import SegNet
from models.spec import ModelSpec
from models.vgg import load_vgg16, vgg16_stages, vgg16_state
from models.weights import as_trained, load_weights, owner_of
from pipeline.train.batchnorm import fit_batch_norms
from pipeline.train.shrink import shrink_encoder

log = logging.getLogger(__name__)

#: Encoders that are a part of another one.
_WHOLE = {"vgg16_pairs": "vgg16"}


def start_from_trained(network: nn.Module, spec: ModelSpec, source: str) -> list[str]:
    """Fill the whole network with trained weights, except layers of another number of classes.

    The weights may be those of the paper's earlier stage (``spec.earlier_stage``): FCN-16s
    continues from FCN-32s, DilatedNet with context module from its front end. Layers that the
    earlier stage lacks start as in a new network: skips at zero, the context module as the
    identity, upsampling as bilinear interpolation.

    Args:
        network: built from ``spec``.
        spec: its registry row, its classes those that are trained now.
        source: as for :func:`models.weights.load_weights`.

    Returns:
        Names of the tensors that keep the values of a new network: the classifier's if the number
        of classes differs, and those that the earlier stage lacks.

    Raises:
        WeightsError: nothing registered, no such file, damaged, or of another network.
    """
    theirs = as_trained(_donor(spec, source), source)
    donor = build_model(theirs)
    load_weights(donor, theirs, source)
    wanted, given = network.state_dict(), donor.state_dict()
    fitting = {
        name: value
        for name, value in given.items()
        if name in wanted and wanted[name].shape == value.shape
    }
    new = sorted(wanted.keys() - fitting.keys())
    network.load_state_dict(fitting, strict=False)
    if new:
        log.info(
            "trained weights of %s with %d classes for %s with %d: %s start from random weights",
            *(theirs.name, len(theirs.classes), spec.name, len(spec.classes), ", ".join(new)),
        )
    return new


def _donor(spec: ModelSpec, source: str) -> ModelSpec:
    """Return the row whose weights ``source`` has, ``spec`` or its earlier stage, as wide as it."""
    earlier = spec.earlier_stage
    if earlier is None or owner_of(source) != earlier:
        return replace(spec, classes=model_spec(spec.name).classes)
    theirs = model_spec(earlier)
    width = {name: value for name, value in spec.variant.items() if name == "width"}
    return replace(theirs, variant={**theirs.variant, **width})


def start_from_trained_encoder(network: nn.Module, spec: ModelSpec, donor: str) -> None:
    """Fill the network's encoder from another network's registered weights.

    A VGG16 with batch norm also fits networks without: the norms are folded. DeconvNet takes
    SegNet's decoder as well, since both mirror the encoder.

    Args:
        network: built from ``spec``.
        spec: its registry row.
        donor: registered name of a network with the same encoder.

    Raises:
        WeightsError: the encoders differ, or ``donor`` has no registered weights.
    """
    theirs = model_spec(donor)
    wrong = WeightsError(
        f"--encoder-weights {donor} was given for {spec.name}, whose encoder is another one "
        f"({theirs.encoder or 'its own'}, {spec.encoder or 'its own'}; widths and depths count "
        "too); pass another network, a file, or 'published'"
    )
    if spec.encoder is None or theirs.encoder not in (spec.encoder, _WHOLE.get(spec.encoder)):
        raise wrong
    trained = build_model(theirs)
    load_weights(trained, theirs, donor)
    mine, given = network.get_submodule("encoder"), trained.get_submodule("encoder")
    if _shapes(mine) == _shapes(given):
        mine.load_state_dict(given.state_dict())
        if isinstance(network, DeconvNet) and isinstance(trained, SegNet):
            network.load_decoder(trained.decoder)
    elif _has_batch_norm(given) and not _has_batch_norm(mine):
        try:
            load_encoder(network, spec, vgg16_state(cast("nn.ModuleList", given.eval())))
        except WeightsError as error:
            raise wrong from error
    else:
        raise wrong


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def start_from_published(
    network: nn.Module, spec: ModelSpec, source: str, inputs: Sequence[Tensor]
) -> None:
    """Fill the network's encoder with published weights.

    VGG16 was published without batch norm; a network's batch norms start as the identity on
    ``inputs``. A narrow VGG16 is fitted to what the published one computes on them.

    Args:
        network: built from ``spec``.
        spec: its registry row.
        source: a file, or ``published`` (see :mod:`models.pretrained`).
        inputs: (1, 3, H, W) normalised pictures to fit statistics to.

    Raises:
        WeightsError: no published encoder fits, or the weights are not available or do not fit.
    """
    if spec.encoder is None:
        load_encoder(network, spec, {})  # raises
        return
    state = encoder_state(spec.encoder, source)
    encoder = cast("nn.ModuleList", network.encoder)
    if spec.encoder == "vgg16" and _is_narrow(encoder):
        wide = vgg16_stages()
        load_vgg16(wide, state)
        shrink_encoder(wide, encoder, inputs)
    else:
        load_encoder(network, spec, state)
    if spec.encoder == "vgg16" and _has_batch_norm(encoder):
        fit_batch_norms(encoder, inputs)


def _is_narrow(encoder: nn.ModuleList) -> bool:
    published = vgg16_stages(norm=False)
    convolutions = (m for m in encoder.modules() if isinstance(m, nn.Conv2d))
    wide = (m for m in published.modules() if isinstance(m, nn.Conv2d))
    return any(a.weight.shape != b.weight.shape for a, b in zip(convolutions, wide, strict=True))


def _has_batch_norm(encoder: nn.Module) -> bool:
    return any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())
