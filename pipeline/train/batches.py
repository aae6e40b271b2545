"""Batches, prepared in a thread while the network trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from calibration.scenes.dataset import Sample
from pipeline.graph.deployment import Normalise
from pipeline.train.augment import Augmentation, Draw, Picture


@dataclass(frozen=True)
class Batches:
    """Endless training batches, a pure function of the seed and the step.

    Attributes:
        samples: pictures with labels, kept in memory.
        augmentation: applied to every picture.
        batch: pictures per step.
        seed: of the whole run.
        synthetic: share of pictures that come from ``draw``.
        draw: index to (BGR picture, label); needed if ``synthetic`` is above zero.
    """

    samples: Sequence[Sample]
    augmentation: Augmentation
    batch: int
    seed: int
    synthetic: float = 0.0
    draw: Draw | None = None

    def from_step(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (N, H, W, 3) uint8 BGR pictures and (N, H, W) int64 labels, from ``step`` on."""
        with ThreadPoolExecutor(1, "batches") as ahead:
            waiting = ahead.submit(self._make, step)
            while True:
                ready = waiting.result()
                step += 1
                waiting = ahead.submit(self._make, step)
                yield ready

    def _make(self, step: int) -> tuple[Tensor, Tensor]:
        pairs = [self._one(step * self.batch + i) for i in range(self.batch)]
        images = np.stack([image for image, _ in pairs])
        labels = np.stack([label for _, label in pairs])
        return torch.from_numpy(images), torch.from_numpy(labels).long()

    def _one(self, number: int) -> tuple[Picture, Picture]:
        random = np.random.default_rng((self.seed, number))
        if self.draw is not None and random.random() < self.synthetic:
            image, label = self.draw(number)
        else:
            # Every picture once per epoch, in a new order each time.
            epoch, place = divmod(number, len(self.samples))
            order = np.random.default_rng((self.seed, 1_000_003, epoch)).permutation(
                len(self.samples)
            )
            sample = self.samples[int(order[place])]
            image, label = sample.image, sample.label
        return self.augmentation.apply(image, label, random)


def network_input(frames: Tensor, normalise: Normalise) -> Tensor:
    """Turn (N, H, W, 3) uint8 BGR frames into (N, 3, H, W) normalised floats, channels last."""
    x: Tensor = normalise(frames.permute(0, 3, 1, 2).float())
    return x.contiguous(memory_format=torch.channels_last)
