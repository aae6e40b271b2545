"""Every network of the registry with few channels, where no branch is silent."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from models.registry import MODELS, build_model
from models.spec import ModelSpec
from pipeline.graph.deployment import DeploymentGraph

#: Differences that do not count for narrow networks: widths, the size of the encoder, how often a
#: ResNet repeats its blocks, and dropout, which is for training.
_SIZES = ("width", "fully", "stages", "lite", "depth", "dropout")

#: Every network of the registry. Rows that differ only in size count as one network here.
DISTINCT = {
    (spec.builder, str({k: v for k, v in spec.variant.items() if k not in _SIZES})): spec
    for spec in reversed(MODELS.values())
}

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def narrow(spec: ModelSpec, width: float = 1 / 16) -> nn.Module:
    """Build ``spec`` with few channels and without values that would hide a branch."""
    torch.manual_seed(0)
    network = build_model(replace(spec, variant={**spec.variant, "width": width}))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for values in (module.weight, module.running_var):
                    values.uniform_(0.5, 1.5)
                for values in (module.bias, module.running_mean):
                    values.normal_(0.0, 0.1)
            elif isinstance(module, CONVOLUTIONS):
                if not module.weight.any():
                    nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    module.bias.normal_(0.0, 0.05)
    return network


def convolution_names(network: nn.Module) -> set[str]:
    return {name for name, m in network.named_modules() if isinstance(m, CONVOLUTIONS)}


class LogitsGraph(DeploymentGraph):
    """The deployment graph that returns its logits, with the class map as one more channel."""

    def forward(self, frames: Tensor) -> Tensor:
        logits = self.network(self.preprocess(frames))
        return torch.cat([logits, logits.argmax(1, keepdim=True).to(logits.dtype)], 1)
