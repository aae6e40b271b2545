"""From a run's best checkpoint to a weight file with a card that says what it is."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from calibration.dataset import Sample
from calibration.scores import Scores
from models.atomic import atomic_path, sha256_of
from models.registry import build_model
from models.spec import ModelSpec
from models.weights import decode, encode, save_weights
from pipeline.train.checkpoint import load_checkpoint
from pipeline.train.trainer import evaluate_network

#: Terms of known data, by the word that ``--licence`` takes: they reach the weights made from it.
TERMS = {
    "camvid": "Trained on CamVid (Brostow et al. 2009), which is for research only (CC BY-NC 4.0 "
    "in the SegNet tutorial's copy). Do not use these weights in a product: train on data that "
    "you may use for it.",
}


@dataclass(frozen=True)
class Provenance:
    """What the checkpoint itself cannot know.

    Attributes:
        data: the pictures, in words.
        pretrained: origin of the initial weights, None for random ones.
        terms: licence of the data in plain words.
        seed: of the run.
        notes: what happened on the way that the recipe does not show.
    """

    data: str
    pretrained: str | None
    terms: str
    seed: int
    notes: str = ""


def publish(
    spec: ModelSpec,
    checkpoint: Path,
    validation: Sequence[Sample],
    provenance: Provenance,
    folder: Path,
) -> dict[str, Any]:
    """Write ``folder/NAME.safetensors`` and ``NAME.json``; return the card.

    The scores on the card are those of the file as written, so the int8 coding is in them; what
    the coding cost stands beside.
    """
    run = load_checkpoint(checkpoint, spec.name)
    trained: dict[str, Tensor] = run["average"]
    before = _score(spec, trained, validation)
    after = _score(spec, decode(encode(trained)), validation)
    path = folder / f"{spec.name}.safetensors"
    save_weights(path, spec, trained)
    card = {
        "model": spec.name,
        "file": path.name,
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "coding": "int8 per output channel, FP32 scales",
        "val": {"miou": after.miou, "pixel_accuracy": after.pixel_accuracy, "iou": after.iou},
        "val_miou_before_coding": before.miou,
        "data": provenance.data,
        "pretrained": provenance.pretrained,
        "recipe": run["recipe"],
        "step": run["step"],
        "seed": provenance.seed,
        "hours": round(run["seconds"] / 3600, 2),
        "hardware": _hardware(),
        "torch": torch.__version__,
        "notes": provenance.notes,
        "licence": provenance.terms,
    }
    text = json.dumps(card, indent=2)
    with atomic_path(folder / f"{spec.name}.json") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    read_back: dict[str, Any] = json.loads(text)
    return read_back


def _score(spec: ModelSpec, state: dict[str, Tensor], validation: Sequence[Sample]) -> Scores:
    network: nn.Module = build_model(spec)
    network.load_state_dict(state)
    return evaluate_network(network, spec, validation)


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {platform.machine()}"
