"""Accuracy of a session on labelled frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.metrics.detail import Detail, DetailCounter
from calibration.metrics.miou import ConfusionMatrix, Scores
from calibration.scenes.dataset import Sample
from models.classes import ClassSet
from pipeline.runtimes.session import Session

#: A labelled frame and its class map, (H, W) uint8 as the label.
Prediction = tuple[Sample, NDArray[np.uint8]]


def evaluate(session: Session, samples: Iterable[Sample], classes: ClassSet) -> Scores:
    """Run ``session`` over ``samples`` and score it at the labels' own resolution.

    Class maps of another size are resized to the label's (nearest neighbour).
    """
    return score(_predictions(session, samples), classes)


def evaluate_in_detail(
    session: Session, samples: Iterable[Sample], classes: ClassSet
) -> tuple[Scores, Detail]:
    """Score as :func:`evaluate` does, and also outlines, small objects and flicker.

    Args:
        session: an opened engine.
        samples: flicker is measured from each frame to the next, so for it a video in order.
        classes: what the label values mean.
    """
    return score_in_detail(_predictions(session, samples), classes)


def score(predictions: Iterable[Prediction], classes: ClassSet) -> Scores:
    """Score class maps, which have their labels' size."""
    matrix = ConfusionMatrix(classes)
    for sample, predicted in predictions:
        matrix.add(sample.label, predicted)
    return matrix.scores()


def score_in_detail(predictions: Iterable[Prediction], classes: ClassSet) -> tuple[Scores, Detail]:
    """Score class maps as :func:`score` does, and in detail."""
    matrix, counter = ConfusionMatrix(classes), DetailCounter(classes)
    for sample, predicted in predictions:
        matrix.add(sample.label, predicted)
        counter.add(sample, predicted)
    return matrix.scores(), counter.scores()


def fit_to_label(predicted: NDArray[np.uint8], label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize a class map (nearest neighbour) to the size of a label, both (H, W) uint8."""
    if predicted.shape == label.shape:
        return predicted
    height, width = label.shape
    resized = cv2.resize(predicted, (width, height), interpolation=cv2.INTER_NEAREST)
    return resized.astype(np.uint8, copy=False)


def _predictions(session: Session, samples: Iterable[Sample]) -> Iterator[Prediction]:
    for sample in samples:
        yield sample, fit_to_label(session.run(sample.image[None])[0], sample.label)
