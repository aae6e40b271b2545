"""What a network in training predicts on labelled samples, and how good that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from calibration.metrics.detail import Detail
from calibration.metrics.miou import Scores
from calibration.scenes.dataset import Sample
from models.spec import ModelSpec
from pipeline.evaluation.accuracy import Prediction, fit_to_label, score, score_in_detail
from pipeline.graph.deployment import Normalise
from pipeline.train.batches import network_input
from pipeline.train.precision import mixed_precision


@torch.no_grad()
def predictions(
    network: nn.Module, spec: ModelSpec, samples: Iterable[Sample], amp: bool = False
) -> Iterator[Prediction]:
    """Yield every sample with the class map of an eager network, (H, W) uint8 as its label.

    The network works at each picture's own size and is in evaluation mode meanwhile.
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


def evaluate_network(
    network: nn.Module, spec: ModelSpec, samples: Iterable[Sample], amp: bool = False
) -> Scores:
    """Score an eager network at the labels' own resolution."""
    return score(predictions(network, spec, samples, amp), spec.classes)


def evaluate_network_in_detail(
    network: nn.Module, spec: ModelSpec, samples: Iterable[Sample]
) -> tuple[Scores, Detail]:
    """Score an eager network in FP32, and what mIoU hides: outlines, small things, flicker."""
    return score_in_detail(predictions(network, spec, samples), spec.classes)
