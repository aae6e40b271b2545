"""``models``: the table of networks."""

from __future__ import annotations

import argparse
from typing import Any

from models.measure import cost_of
from models.registry import MODELS
from models.weights import weights_card
from pipeline.cli.outcome import Outcome, percent


def run(options: argparse.Namespace) -> Outcome:
    """List every registered network with its size and the weights at hand."""
    rows: list[dict[str, Any]] = []
    for spec in MODELS.values():
        card = weights_card(spec.name)
        weights = [] if card is None else [{"name": spec.name, "val_miou": card["val"]["miou"]}]
        cost = cost_of(spec)
        rows.append(
            {
                "name": spec.name,
                "paper": f"{spec.paper.authors}, {spec.paper.year}",
                "parameters": cost.parameters,
                "gmacs": round(cost.gmacs, 3),
                "output_stride": spec.output_stride,
                "weights": weights,
            }
        )
    lines = [f"{'network':<16}{'parameters':>12}{'GMACs':>8}{'stride':>8}{'val mIoU':>10}  paper"]
    for row in rows:
        miou = row["weights"][0]["val_miou"] if row["weights"] else None
        lines.append(
            f"{row['name']:<16}{row['parameters']:>12,}{row['gmacs']:>8.1f}"
            f"{row['output_stride']:>8}{percent(miou):>10}  {row['paper']}"
        )
    return Outcome({"models": rows}, "\n".join(lines))
