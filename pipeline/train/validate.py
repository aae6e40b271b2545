"""What a network in training predicts on labelled samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from calibration.scenes.dataset import Sample
from models.spec import ModelSpec
from pipeline.evaluation.accuracy import Prediction, fit_to_label
from pipeline.graph.deployment import Normalise
from pipeline.train.batches import network_input
from pipeline.train.precision import mixed_precision


@torch.no_grad()
def predictions(
    network: nn.Module, spec: ModelSpec, samples: Iterable[Sample], amp: bool = False
) -> Iterator[Prediction]:
    """Yield each sample and its predicted class map, (H, W) uint8 of the label's size.

    The network runs eagerly, at each picture's own size, in evaluation mode meanwhile.
    """
    device = next(network.parameters()).device
    normalise = Normalise(spec.input).to(device)
    was_training = network.training
    network.eval()
    try:
        for sample in samples:
            x = network_input(torch.from_numpy(sample.image[None]).to(device), normalise)
            with mixed_precision(device, amp):
                logits = network(x)
            predicted = logits[0].argmax(0).to(torch.uint8).cpu().numpy()
            yield sample, fit_to_label(predicted, sample.label)
    finally:
        network.train(was_training)
