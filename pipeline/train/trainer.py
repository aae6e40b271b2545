"""The training loop: seeded, checkpointed, resumable, logged."""

from __future__ import annotations

import copy
import itertools
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from calibration.dataset import Sample
from calibration.scores import ConfusionMatrix, Scores
from models.spec import ModelSpec
from pipeline.deploy import Normalise
from pipeline.train.batches import Batches, network_input
from pipeline.train.checkpoint import load_checkpoint, save_checkpoint
from pipeline.train.loss import SegmentationLoss
from pipeline.train.recipe import Recipe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSettings:
    """Where a run lives and how often it is saved.

    Attributes:
        folder: receives ``checkpoint.pt``, ``best.pt`` and ``log.jsonl``.
        seed: of weights, order and augmentation.
        checkpoint_seconds: time between checkpoints.
        amp: compute convolutions in bfloat16 (weights and statistics stay FP32).
    """

    folder: Path
    seed: int = 0
    checkpoint_seconds: float = 180.0
    amp: bool = False


class Trainer:
    """Trains ``network`` on batches and keeps an average of its weights (EMA).

    Args:
        spec: the network's registry row.
        network: on its device, in training mode.
        recipe: what to do.
        settings: where and how often.
        weights: loss weight per class.
        encoder: parameters that get ``recipe.encoder_rate`` times the rate.
    """

    def __init__(
        self,
        spec: ModelSpec,
        network: nn.Module,
        recipe: Recipe,
        settings: RunSettings,
        weights: Tensor,
    ) -> None:
        self.spec = spec
        self.network = network
        self.recipe = recipe
        self.settings = settings
        self.device = next(network.parameters()).device
        self.normalise = Normalise(spec.input).to(self.device)
        self.loss = SegmentationLoss(weights, spec.classes.void, recipe.overlap).to(self.device)
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(_groups(network, recipe), lr=recipe.rate)
        self.step = 0
        self.best = -1.0  # so that the first validation always leaves a best.pt
        self.seconds = 0.0

    def resume(self) -> None:
        """Continue from the folder's checkpoint."""
        state = load_checkpoint(self.settings.folder / "checkpoint.pt", self.spec.name)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], state["best"]
        self.seconds = state["seconds"]

    def save(self, name: str = "checkpoint.pt") -> None:
        """Write everything that :meth:`resume` needs."""
        save_checkpoint(
            self.settings.folder / name,
            {
                "model": self.spec.name,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "recipe": asdict(self.recipe),
                "step": self.step,
                "best": self.best,
                "seconds": self.seconds,
            },
        )

    def train(self, batches: Batches, validation: Sequence[Sample]) -> None:
        """Run to the recipe's last step, validating and saving on the way."""
        self.network.train()
        started = saved = time.monotonic()
        losses: list[float] = []
        remaining = max(0, self.recipe.steps - self.step)
        for images, labels in itertools.islice(batches.from_step(self.step), remaining):
            losses.append(self._step(images, labels))
            now = time.monotonic()
            self.seconds += now - started
            started = now
            if self.step % 20 == 0:
                self._log(loss=sum(losses) / len(losses))
                losses.clear()
            if now - saved > self.settings.checkpoint_seconds:
                self.save()
                saved = now
            if self.step % self.recipe.validate_every == 0 or self.step == self.recipe.steps:
                self._validate(validation)
                started = time.monotonic()
        self.save()

    def _step(self, images: Tensor, labels: Tensor) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_at(self.step, self.recipe)
        x = network_input(images.to(self.device), self.normalise)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.amp):
            logits = self.network(x)
        loss = self.loss(logits.float(), labels.to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        # A short memory at first, else the random start stays in the average for long.
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        online = self.network.state_dict()
        for key, value in self.average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(online[key], 1 - decay)
            else:
                value.copy_(online[key])

    def _validate(self, samples: Sequence[Sample]) -> None:
        scores = evaluate_network(self.average, self.spec, samples, amp=self.settings.amp)
        self._log(miou=scores.miou, pixel_accuracy=scores.pixel_accuracy, iou=scores.iou)
        if scores.miou > self.best:
            self.best = scores.miou
            self.save("best.pt")

    def _log(self, **values: object) -> None:
        row = {"step": self.step, "seconds": round(self.seconds, 1), **values}
        row["rate"] = self.optimizer.param_groups[-1]["lr"]
        with (self.settings.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        log.info("%s", row)


def rate_at(step: int, recipe: Recipe) -> float:
    """Share of the peak rate at ``step``: linear warm-up, then poly with power 0.9."""
    warmup = min(1.0, (step + 1) / recipe.warmup)
    return float(warmup * max(0.0, 1 - step / recipe.steps) ** 0.9)


def _groups(network: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Sort parameters: encoder or not, decayed (matrices) or not (norms and biases)."""
    sorted_: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        key = (name.startswith("encoder."), parameter.ndim > 1)
        sorted_.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "peak": recipe.rate * (recipe.encoder_rate if encoder else 1.0),
            "weight_decay": recipe.decay if decayed else 0.0,
        }
        for (encoder, decayed), parameters in sorted(sorted_.items(), reverse=True)
    ]


@torch.no_grad()
def evaluate_network(
    network: nn.Module, spec: ModelSpec, samples: Sequence[Sample], amp: bool = False
) -> Scores:
    """Score an eager network on samples of its own input size."""
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    normalise = Normalise(spec.input).to(device)
    matrix = ConfusionMatrix(spec.classes)
    for sample in samples:
        x = network_input(torch.from_numpy(sample.image[None]).to(device), normalise)
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            logits = network(x)
        matrix.add(sample.label, logits[0].argmax(0).to(torch.uint8).cpu().numpy())
    network.train(was_training)
    return matrix.scores()
