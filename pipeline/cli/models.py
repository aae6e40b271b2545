"""``models``: the table of networks."""

from __future__ import annotations

import argparse
from typing import Any

from models.registry import MODELS, build_model
from models.weights import weights_card
from pipeline.cli.outcome import Outcome, percent


def run(options: argparse.Namespace) -> Outcome:
    """List every registered network with its size and the weights at hand."""
    rows: list[dict[str, Any]] = []
    for spec in MODELS.values():
        card = weights_card(spec.name)
        weights = [] if card is None else [{"name": spec.name, "val_miou": card["val"]["miou"]}]
        rows.append(
            {
                "name": spec.name,
                "paper": f"{spec.paper.authors}, {spec.paper.year}",
                "parameters": sum(p.numel() for p in build_model(spec).parameters()),
                "output_stride": spec.output_stride,
                "weights": weights,
            }
        )
    lines = [f"{'network':<16}{'parameters':>12}{'stride':>8}{'val mIoU':>10}  paper"]
    for row in rows:
        miou = row["weights"][0]["val_miou"] if row["weights"] else None
        lines.append(
            f"{row['name']:<16}{row['parameters']:>12,}{row['output_stride']:>8}"
            f"{percent(miou):>10}  {row['paper']}"
        )
    return Outcome({"models": rows}, "\n".join(lines))
