"""``models``: the table of networks, one of them in detail, or pictures of it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.card import Card
from models.registry import MODELS, model_spec
from models.spec import ModelSpec
from models.speeds import fastest, measured_speeds
from models.weights import registered_weights, weights_card
from pipeline.cli.outcome import Outcome, percent


def run(options: argparse.Namespace) -> Outcome:
    """List the registry, or tell about one network."""
    if options.receptive_field or options.activations:
        return _view(options, options.receptive_field or options.activations)
    if options.fastest:
        return _fastest(options.min_miou)
    if options.network is not None:
        return _detail(model_spec(options.network))
    rows = [_row(spec) for spec in MODELS.values()]
    return Outcome({"models": rows}, "\n".join(_table(rows)))


def _row(spec: ModelSpec) -> dict[str, Any]:
    card = weights_card(spec.name)
    weights: list[dict[str, Any]] = []
    if card is not None:  # the file may be too large for the repository, which then has the card
        carried = registered_weights(spec.name) is not None
        weights = [{"name": spec.name, "val_miou": card["val"]["miou"], "carried": carried}]
    return {
        "name": spec.name,
        "paper": f"{spec.paper.authors}, {spec.paper.year}",
        "parameters": spec.figures.parameters,
        "gmacs": spec.figures.gmacs,
        "output_stride": spec.output_stride,
        "receptive_field": spec.figures.receptive_field,
        "global_context": spec.figures.global_context,
        "classes": len(spec.classes),
        "weights": weights,
    }


def _field(row: dict[str, Any]) -> str:
    return f"{row['receptive_field']}{' + picture' if row['global_context'] else ''}"


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{'network':<22}{'parameters':>12}{'GMACs':>8}{'stride':>8}  {'field':<15}"
        f"{'val mIoU':>8}  paper"
    ]
    for row in rows:
        miou = row["weights"][0]["val_miou"] if row["weights"] else None
        lines.append(
            f"{row['name']:<22}{row['parameters']:>12,}{row['gmacs']:>8.1f}"
            f"{row['output_stride']:>8}  {_field(row):<15}{percent(miou):>8}  {row['paper']}"
        )
    return lines


def _detail(spec: ModelSpec) -> Outcome:
    row, card, paper = _row(spec), weights_card(spec.name), spec.paper
    size = f"{spec.input.width}x{spec.input.height}"
    strides = ", ".join(map(str, (spec.output_stride, *spec.output_strides)))
    lines = {
        "network": spec.name + (f" {dict(spec.variant)}" if spec.variant else ""),
        "paper": f"{paper.title}\n{'':<18}{paper.authors}, {paper.year}, {paper.venue}",
        "parameters": f"{row['parameters']:,}"
        + (f" (the paper says {paper.parameters})" if paper.parameters else ""),
        "multiply-adds": f"{row['gmacs']:.1f} x 10^9 at {size}",
        "output stride": strides,
        "receptive field": f"{_field(row)} (pixels a side)",
        "smallest input": f"{spec.minimum_size}x{spec.minimum_size}",
        "classes": f"{row['classes']}: {', '.join(spec.classes.names)}",
        "paper's mIoU": "none on CamVid"
        if paper.camvid_test_miou is None
        else f"{percent(paper.camvid_test_miou).strip()} on CamVid test"
        + (f" ({paper.camvid_note})" if paper.camvid_note else ""),
        "weights": _weights(spec, card),
    }
    document = {
        **row,
        "title": paper.title,
        "venue": paper.venue,
        "paper_camvid_test_miou": paper.camvid_test_miou,
        "paper_camvid_note": paper.camvid_note,
        "minimum_size": spec.minimum_size,
        "output_strides": [spec.output_stride, *spec.output_strides],
        "variant": dict(spec.variant),
        "card": card,
    }
    return Outcome(document, "\n".join(f"{name:<18}{text}" for name, text in lines.items()))


def _weights(spec: ModelSpec, card: Card | None) -> str:
    if card is None:
        return "none registered"
    here = registered_weights(spec.name)
    lines = [
        f"val mIoU {percent(card['val']['miou']).strip()}, "
        f"pixel accuracy {percent(card['val']['pixel_accuracy']).strip()}",
        f"{card['file']}, {card['bytes'] / 1e6:.1f} MB" + ("" if here else ", not carried here"),
        f"trained on {card['data']}",
        f"licence: {card['licence']}",
    ]
    return f"\n{'':<18}".join(lines)


def _fastest(least_miou: float) -> Outcome:
    speeds = measured_speeds()
    rows = fastest(speeds, least_miou)
    lines = [f"{'network':<22}{'precision':>10}{'size':>10}{'val mIoU':>10}{'FPS':>8}"]
    lines += [
        f"{row.network:<22}{row.precision.upper():>10}{f'{row.width}x{row.height}':>10}"
        f"{percent(row.miou):>10}{row.fps:>8.1f}"
        for row in rows
    ]
    lines.append(
        f"measured on {speeds.machine}, all in turn, {speeds.date}; other processors have other "
        f"rates in a similar order, see roadseg bench {rows[0].network}"
    )
    document = {"machine": speeds.machine, "date": speeds.date}
    fields = [{**asdict(row), "fps": row.fps} for row in rows]
    return Outcome({**document, "fastest": fields}, "\n".join(lines))


def _view(options: argparse.Namespace, output: Path) -> Outcome:
    # Imported here: the table needs no torch.
    from pipeline.evaluation.views.activations import view_activations
    from pipeline.evaluation.views.canvas import check_png, write_png
    from pipeline.evaluation.views.receptive_field import view_receptive_field
    from pipeline.evaluation.views.target import open_target

    check_png(output)
    target = open_target(options.network, options.weights, options.picture)
    document: dict[str, Any]
    if options.activations:
        image, activations = view_activations(target)
        document = {"activations": [activation.to_json() for activation in activations]}
        lines = [activation.title for activation in activations]
    else:
        image, report = view_receptive_field(target)
        document, theory = report.to_json(), report.theoretical
        lines = [
            f"theoretical field {theory.width}x{theory.height} pixels"
            f"{' + picture' if theory.global_context else ''}, {report.theoretical_share:.1%} of "
            "the picture",
            f"effective field {report.effective_side}x{report.effective_side} pixels, "
            f"{report.effective_share:.1%} of the picture",
        ]
    write_png(output, image)
    about = {"network": target.spec.name, "weights": target.weights, "output": str(output)}
    return Outcome({**about, **document}, "\n".join([*lines, f"wrote {output}"]))
