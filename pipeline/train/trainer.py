"""The training loop: seeded, checkpointed, resumable, logged."""

from __future__ import annotations

import copy
import itertools
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from calibration.metrics.miou import ConfusionMatrix
from calibration.scenes.dataset import Sample
from models.spec import ModelSpec
from pipeline.errors import TrainingError, WeightsError, translated
from pipeline.graph.deployment import Normalise
from pipeline.progress import step_bar
from pipeline.train.auxiliary import deep_supervision
from pipeline.train.batches import Batches, network_input
from pipeline.train.batchnorm import freeze_batch_norms
from pipeline.train.checkpoint import (
    check_same_run,
    load_checkpoint,
    random_state,
    save_checkpoint,
    set_random_state,
)
from pipeline.train.curves import write_curves
from pipeline.train.distil import divergence, load_teacher
from pipeline.train.loss import SegmentationLoss
from pipeline.train.optimiser import parameter_groups, rate_at
from pipeline.train.precision import mixed_precision
from pipeline.train.recipe import Recipe
from pipeline.train.runlog import RunLog, in_words, writable
from pipeline.train.validate import predictions

log = logging.getLogger(__name__)

#: Steps whose losses are averaged into one row of the log.
_LOG_EVERY = 20


@dataclass(frozen=True)
class RunSettings:
    """Folder, seed, saving and stopping of a run.

    Attributes:
        folder: receives ``checkpoint.pt``, ``best.pt``, ``log.jsonl`` and ``curves.svg``.
        seed: of weights, order and augmentation.
        checkpoint_seconds: time between checkpoints.
        amp: compute convolutions in bfloat16 (weights and statistics stay FP32).
        bar: show a progress bar on standard error.
        stop: once set, the run saves a checkpoint and ends after the current step.
    """

    folder: Path
    seed: int = 0
    checkpoint_seconds: float = 180.0
    amp: bool = False
    bar: bool = False
    stop: threading.Event = field(default_factory=threading.Event, compare=False)


class Trainer:
    """Trains ``network`` on batches and keeps an average of its weights (EMA).

    Args:
        spec: the network's registry row.
        network: on its device, in training mode.
        recipe: what to do.
        settings: where and how often.
        weights: loss weight per class.
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
        # After the copy: the average has no second head.
        self.auxiliary = deep_supervision(network, len(spec.classes), recipe.auxiliary)
        self.teacher = load_teacher(recipe, spec, self.device, settings.amp)
        groups = parameter_groups(network, recipe, self.auxiliary)
        # Fused: a third of the time on a CPU, where FCN's 134 M weights took 1.3 s of a 4 s step.
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.rate, fused=True)
        self.log = RunLog(settings.folder / "log.jsonl")
        self.step = 0
        # Step of the last validation. With QAT the start is validated too, as the one to beat.
        self.validated = -1 if recipe.qat else 0
        self.best = -1.0  # so that the first validation always writes best.pt
        self.stale = 0  # validations since the best one
        self.seconds = 0.0
        self._losses: deque[float] = deque(maxlen=_LOG_EVERY)
        self._show: Callable[[int, str], None] = lambda _steps, _words: None

    @property
    def finished(self) -> bool:
        """Whether the run reached its last step or ran out of patience, and was validated."""
        ended = self.step >= self.recipe.steps or self.stale >= self.recipe.patience
        return ended and self.validated == self.step

    def resume(self) -> None:
        """Continue from the folder's checkpoint.

        Raises:
            WeightsError: it is damaged, or has another network, class set, seed or ``qat``.
        """
        path = self.settings.folder / "checkpoint.pt"
        state = load_checkpoint(path, self.spec.name, self.spec.classes)
        check_same_run(path, state, self.settings.seed, self.recipe.qat)
        # PyTorch's errors about sizes, or about keys of the optimizer's state.
        problem = f"checkpoint {path} does not fit {self.spec.name} as it is now"
        with translated(WeightsError, problem, "train again in another --folder"):
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            if self.auxiliary is not None:
                self.auxiliary.load_state_dict(state["auxiliary"])
            planned = [group["peak"] for group in self.optimizer.param_groups]
            self.optimizer.load_state_dict(state["optimizer"])
            for group, peak in zip(self.optimizer.param_groups, planned, strict=True):
                group["peak"] = peak  # the current recipe's, which is the recorded one
            self.step, self.best = state["step"], state["best"]
            self.seconds = state["seconds"]
            if "random" in state:
                set_random_state(state["random"])
        self.validated, self.stale = state.get("validated", self.step), state.get("stale", 0)
        self.log.cut(self.step)

    def save(self, name: str = "checkpoint.pt") -> None:
        """Write everything that :meth:`resume` needs."""
        save_checkpoint(
            self.settings.folder / name,
            {
                "model": self.spec.name,
                "classes": list(self.spec.classes.names),
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "auxiliary": self.auxiliary and self.auxiliary.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "recipe": asdict(self.recipe),
                "seed": self.settings.seed,
                "random": random_state(),
                "step": self.step,
                "validated": self.validated,
                "best": self.best,
                "stale": self.stale,
                "seconds": self.seconds,
            },
        )

    def train(self, batches: Batches, validation: Sequence[Sample]) -> None:
        """Run to the recipe's last step, validating and saving on the way.

        It ends earlier after ``recipe.patience`` validations without a better mIoU, or when
        ``settings.stop`` is set, which saves a checkpoint of the current step.

        Raises:
            TrainingError: the loss is infinite or NaN; the last checkpoint is older than that.
        """
        if self.step == 0:  # remove the files of another run
            for name in ("log.jsonl", "best.pt", "curves.svg"):
                with writable(self.settings.folder):
                    (self.settings.folder / name).unlink(missing_ok=True)
            self.save()
        self.network.train()
        if self.recipe.qat:
            freeze_batch_norms(self.network)
        with step_bar(self.step, self.recipe.steps, self.settings.bar) as show:
            self._show = show
            self._validate_if_due(validation)  # if the run was interrupted during a validation
            started = saved = time.monotonic()
            remaining = max(0, self.recipe.steps - self.step)
            for images, labels in itertools.islice(batches.from_step(self.step), remaining):
                if self.settings.stop.is_set() or self.stale >= self.recipe.patience:
                    break
                self._losses.append(self._step(images, labels))
                now = time.monotonic()
                self.seconds += now - started
                started = now
                show(self.step, self._words())
                if self.step % _LOG_EVERY == 0:
                    self._log(loss=sum(self._losses) / len(self._losses))
                if now - saved > self.settings.checkpoint_seconds:
                    self.save()
                    saved = now
                if self._validate_if_due(validation):
                    started = saved = time.monotonic()
        if not self.finished:
            self.save()

    def _step(self, images: Tensor, labels: Tensor) -> float:
        if self.step >= self.recipe.dropout * self.recipe.steps:
            _switch_dropout_off(self.network)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_at(self.step, self.recipe)
        frames = images.to(self.device)
        x = network_input(frames, self.normalise)
        with mixed_precision(self.device, self.settings.amp):
            logits = self.network(x)
            second = self.auxiliary and self.auxiliary((x.shape[-2], x.shape[-1]))
        labels = labels.to(self.device)
        loss = self.loss(logits.float(), labels)
        if second is not None:
            loss = loss + self.recipe.auxiliary * self.loss(second.float(), labels)
        if self.teacher is not None:
            taught = self.teacher.logits(frames)
            far = divergence(logits.float(), taught, self.recipe.temperature, self.loss.weights)
            loss = loss + self.recipe.distil * far
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {self.step}, expected a number; lower the "
                f"recipe's rate of {self.recipe.rate:g}, and continue from the last checkpoint "
                "with --resume"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return value

    @torch.no_grad()
    def _update_average(self) -> None:
        # A smaller decay at first, so that the random start soon leaves the average.
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        online = self.network.state_dict()
        for key, value in self.average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(online[key], 1 - decay)
            else:
                value.copy_(online[key])

    def _validate_if_due(self, samples: Sequence[Sample]) -> bool:
        due = self.step % self.recipe.validate_every == 0 or self.step == self.recipe.steps
        if not due or self.validated == self.step:
            return False
        self._validate(samples)
        return True

    def _validate(self, samples: Sequence[Sample]) -> None:
        matrix = ConfusionMatrix(self.spec.classes)
        for sample, predicted in predictions(self.average, self.spec, samples, self.settings.amp):
            if self.settings.stop.is_set():
                return  # a resumed run repeats the validation
            matrix.add(sample.label, predicted)
            self._show(self.step, f"validating, picture {matrix.frames} of {len(samples)}")
        scores = matrix.scores()
        self.validated = self.step
        self._log(miou=scores.miou, pixel_accuracy=scores.pixel_accuracy, iou=scores.iou)
        self.stale += 1
        if scores.miou > self.best:
            self.best, self.stale = scores.miou, 0
            self.save("best.pt")
        self.save()  # with the best mIoU, which a resumed run must not replace by a worse one
        title = f"{self.spec.name}, {self.recipe.steps} steps"
        write_curves(self.settings.folder / "curves.svg", title, self.log.rows())
        self._show(self.step, self._words())

    def _words(self) -> str:
        """Return the text beside the bar."""
        words = []
        if self._losses:
            rate = self.optimizer.param_groups[-1]["lr"]
            words = [f"loss {sum(self._losses) / len(self._losses):.3f}", f"rate {rate:.1e}"]
        if self.best >= 0:
            words.append(f"best val mIoU {100 * self.best:.1f}")
        return ", ".join(words)

    def _log(self, **values: object) -> None:
        row = {"step": self.step, "seconds": round(self.seconds, 1), **values}
        row["rate"] = self.optimizer.param_groups[-1]["lr"]
        self.log.append(row)
        log.info("%s", in_words(row))


def _switch_dropout_off(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
