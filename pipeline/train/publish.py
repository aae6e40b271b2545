"""From a run's best checkpoint to a weight file with its card and curves."""

from __future__ import annotations

import json
import logging
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from calibration.scenes.dataset import Sample
from models.atomic import atomic_path, sha256_of
from models.registry import build_model
from models.spec import ModelSpec
from models.weights import decode, encode, save_weights
from pipeline.errors import OutputError
from pipeline.evaluation.accuracy import score, score_in_detail
from pipeline.train.checkpoint import load_checkpoint
from pipeline.train.curves import write_curves
from pipeline.train.runlog import RunLog
from pipeline.train.validate import predictions

log = logging.getLogger(__name__)

#: Terms of known data, which also hold for weights trained on it, by the value of ``--licence``.
TERMS = {
    "camvid": "Trained on CamVid (Brostow et al. 2009), which is for research only (CC BY-NC 4.0 "
    "in the SegNet tutorial's copy). Do not use these weights in a product: train on data that "
    "you may use for it.",
}


@dataclass(frozen=True)
class Provenance:
    """Facts for the card that the checkpoint does not hold.

    Attributes:
        data: the pictures, in words.
        pretrained: origin of the initial weights, None for random ones.
        terms: licence of the data in plain words.
        seed: of the run.
        notes: what happened during the run that the recipe does not show.
        command: trains these weights again; without paths of this machine.
    """

    data: str
    pretrained: str | None
    terms: str
    seed: int
    notes: str = ""
    command: str = ""


def publish(
    spec: ModelSpec,
    checkpoint: Path,
    validation: Sequence[Sample],
    provenance: Provenance,
    folder: Path,
) -> dict[str, Any]:
    """Write ``folder/NAME.safetensors``, ``NAME.svg`` and ``NAME.json``; return the card.

    The card's scores are those of the file as written, int8 coding included; the mIoU before
    coding is given as well.
    """
    run = load_checkpoint(checkpoint, spec.name, spec.classes)
    trained: dict[str, Tensor] = run["average"]
    log.info("scoring %s on %d pictures, before and after coding", checkpoint, len(validation))
    before = score(predictions(_network(spec, trained), spec, validation), spec.classes)
    coded = _network(spec, decode(encode(trained)))
    after, detail = score_in_detail(predictions(coded, spec, validation), spec.classes)
    path = folder / f"{spec.name}.safetensors"
    save_weights(path, spec, trained)
    curves = folder / f"{spec.name}.svg"
    rows = RunLog(checkpoint.with_name("log.jsonl")).rows()
    write_curves(curves, f"{spec.name}, {run['recipe']['steps']} steps", rows)
    card = {
        "model": spec.name,
        "file": path.name,
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "coding": "int8 per output channel, FP32 scales",
        "val": {"miou": after.miou, "pixel_accuracy": after.pixel_accuracy, "iou": after.iou},
        "val_detail": detail.to_json(),
        "val_miou_before_coding": before.miou,
        "validations": [[row["step"], row["miou"]] for row in rows if "miou" in row],
        "curves": curves.name,
        "data": provenance.data,
        "pretrained": provenance.pretrained,
        "recipe": run["recipe"],
        "step": run["step"],
        "seed": provenance.seed,
        "command": provenance.command,
        "hours": round(run["seconds"] / 3600, 2),
        "hardware": _hardware(),
        "torch": torch.__version__,
        "notes": provenance.notes,
        "licence": provenance.terms,
    }
    return _write_card(folder / f"{spec.name}.json", card)


def _write_card(path: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Write a card and return it as it reads back."""
    text = json.dumps(card, indent=2)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    read_back: dict[str, Any] = json.loads(text)
    return read_back


def register(model: str, published: Path, folder: Path, weights: bool) -> None:
    """Copy what :func:`publish` wrote to the weights that the repository carries.

    Args:
        model: registry name.
        published: folder with the files.
        folder: the repository's, ``models.weights.TRAINED``.
        weights: also the weight file; without it the card's SHA-256 says which one it is.

    Raises:
        OutputError: ``weights`` is False, but ``folder`` has weights of another run.
    """
    there = folder / f"{model}.safetensors"
    if not weights and there.exists():
        raise OutputError(
            f"{there} holds weights of another run than the new card; publish the weights too, or "
            "remove the old ones first"
        )
    # The card last: it names the hash of the weights, which must be there by then.
    for suffix in (*([".safetensors"] if weights else []), ".svg", ".json"):
        with atomic_path(folder / f"{model}{suffix}") as temporary:
            shutil.copyfile(published / f"{model}{suffix}", temporary)


def _network(spec: ModelSpec, state: dict[str, Tensor]) -> nn.Module:
    network = build_model(spec)
    network.load_state_dict(state)
    return network


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {platform.machine()}"
