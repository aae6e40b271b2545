"""Accuracy of a session on labelled frames."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from calibration.dataset import Sample
from calibration.scores import ConfusionMatrix, Scores
from models.classes import ClassSet
from pipeline.sessions.base import Session


def evaluate(session: Session, samples: Iterable[Sample], classes: ClassSet) -> Scores:
    """Run ``session`` over ``samples`` and score it at the labels' own resolution.

    Class maps of another size are resized to the label's (nearest neighbour).
    """
    matrix = ConfusionMatrix(classes)
    for sample in samples:
        predicted = session.run(sample.image[None])[0]
        if predicted.shape != sample.label.shape:
            height, width = sample.label.shape
            predicted = cv2.resize(
                predicted, (width, height), interpolation=cv2.INTER_NEAREST
            ).astype(np.uint8, copy=False)
        matrix.add(sample.label, predicted)
    return matrix.scores()
