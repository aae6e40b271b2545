"""Distillation: a network also learns the scores that a better, trained one gives each pixel.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531: both
networks' scores are softened by a temperature, and the student minimises the divergence from the
teacher. The label of a pixel names one class; the teacher also says which others it was close to,
and it has an opinion where the label is void.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.registry import build_model, model_spec
from models.spec import ModelSpec
from models.weights import load_weights
from pipeline.errors import TrainingError
from pipeline.graph.deployment import Normalise
from pipeline.train.batches import network_input
from pipeline.train.precision import mixed_precision
from pipeline.train.recipe import Recipe


class Teacher:
    """A trained network in evaluation mode, without gradients.

    It is not a submodule of the student, so its weights reach no optimiser, average or checkpoint.

    Args:
        network: the teacher, on the device of the frames.
        spec: its registry row; frames are normalised as it was trained, not as the student is.
        amp: compute its convolutions in bfloat16.
    """

    def __init__(self, network: nn.Module, spec: ModelSpec, amp: bool = False) -> None:
        self.network = network.eval().requires_grad_(False)
        self.device = next(network.parameters()).device
        self.normalise = Normalise(spec.input).to(self.device)
        self.amp = amp

    @torch.no_grad()
    def logits(self, frames: Tensor) -> Tensor:
        """Map (N, H, W, 3) uint8 BGR frames, as augmented, to (N, classes, H, W) FP32 logits."""
        with mixed_precision(self.device, self.amp):
            logits: Tensor = self.network(network_input(frames, self.normalise))
        return logits.float()


def load_teacher(
    recipe: Recipe, student: ModelSpec, device: torch.device, amp: bool = False
) -> Teacher | None:
    """Load the recipe's teacher with its registered weights; None where the recipe has none.

    Raises:
        TrainingError: teacher and student have other classes, or in another order.
        ModelError: no network of that name.
        WeightsError: no weights are registered for it.
    """
    if recipe.teacher is None or not recipe.distil:
        return None
    spec = model_spec(recipe.teacher)
    check_classes(spec, student)
    network = build_model(spec)
    load_weights(network, spec, spec.name)
    placed = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Teacher(placed, spec, amp)


def check_classes(teacher: ModelSpec, student: ModelSpec) -> None:
    """Refuse a teacher with other classes than the student.

    Raises:
        TrainingError: names the first channel that differs, or the two numbers of channels.
    """
    theirs, ours = teacher.classes.names, student.classes.names
    if theirs == ours:
        return
    if len(theirs) != len(ours):
        found, expected = f"{len(theirs)} classes", f"the {len(ours)} of {student.name}"
    else:
        first = next(
            i for i, pair in enumerate(zip(theirs, ours, strict=True)) if len(set(pair)) > 1
        )
        found, expected = f"{theirs[first]!r} as class {first}", f"{ours[first]!r}"
    raise TrainingError(
        f"teacher {teacher.name} has {found}, expected {expected}, the same classes in the same "
        "order; choose a teacher trained for these classes, or none in the recipe"
    )


def divergence(student: Tensor, teacher: Tensor, temperature: float, weights: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the student from the teacher, weighted mean over all pixels.

    Times temperature squared, which keeps the size of the gradient when the temperature changes
    (Hinton et al., section 2). Void pixels count as all others.

    Args:
        student: (N, classes, H, W) FP32 logits.
        teacher: the same of the teacher.
        temperature: above 0; 1 leaves the scores unchanged, more makes them softer.
        weights: (classes,) loss weight per class, by the teacher's most likely class at a pixel.
            With equal weights roads and buildings would outweigh poles and people.
    """
    ours = F.log_softmax(student / temperature, 1)
    theirs = F.log_softmax(teacher / temperature, 1)
    per_pixel = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(1)
    weight = weights[teacher.argmax(1)]
    return temperature**2 * (weight * per_pixel).sum() / weight.sum().clamp_min(1e-12)
