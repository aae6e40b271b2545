"""What the manifest of an INT8 engine says about its calibration and its accuracy."""

from __future__ import annotations

from dataclasses import replace

from pipeline.engine.manifest import Engine, Manifest
from pipeline.engine.records import Accuracy, Calibration
from pipeline.evaluation.compare import Comparison
from pipeline.quantization.search import EVALUATION_RUNTIME, Prepared


def with_int8_sections(engine: Engine, prepared: Prepared) -> Manifest:
    """Write the calibration table beside ``engine``; return its manifest with the sections of INT8.

    These are ``calibration`` and, where INT8 was compared with FP32, ``accuracy``.
    """
    manifest = engine.manifest
    table, placement = prepared.table, prepared.graph.placement
    table_file = engine.folder / f"{manifest.name}.calibration.json"
    table.save(table_file)
    calibration: Calibration = {
        "table": table_file.name,
        **table.fingerprint,
        "method": table.method,
        "methods": {},
        "measured": table.measured,
        "high_precision": table.high_precision,
        "kept": {one.name: one.reason for one in placement.convolutions if one.reason},
    }
    accuracy = manifest.accuracy or Accuracy()
    if prepared.comparison is not None:
        accuracy = {**accuracy, **_accuracy(prepared, prepared.comparison, manifest.runtime)}
    return replace(
        manifest,
        calibration=calibration,
        accuracy=accuracy or None,
        warnings=(*manifest.warnings, *prepared.warnings),
    )


def _accuracy(prepared: Prepared, comparison: Comparison, runtime: str) -> Accuracy:
    figures: Accuracy = {
        "frames": comparison.frames,
        "judged_on": f"{EVALUATION_RUNTIME}, the same Q/DQ graph{_as_written(runtime)}",
        "pixel_agreement": comparison.pixel_agreement,
        "attempts": [attempt.to_json() for attempt in prepared.attempts],
    }
    if comparison.scores is not None:
        before, after = comparison.scores
        figures |= {"miou": after.miou, "miou_fp32": before.miou}
        figures |= {"iou": after.iou, "iou_fp32": before.iou}
    if comparison.speed is not None:
        figures["speedup"] = comparison.speed.speedup
    if prepared.sensitivity:
        figures["sensitivity"] = {one.name: one.gain for one in prepared.sensitivity}
    return figures


def _as_written(runtime: str) -> str:
    return "" if runtime == EVALUATION_RUNTIME else ", in FP32 between its roundings"
