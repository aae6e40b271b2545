"""The precision of a build without ``--precision``: the fastest one whose accuracy is known.

INT8 where the weights and their calibration table are registered, or frames to calibrate with are
given, and INT8 is known to be faster on this machine; else the runtime's default. It needs no
torch, since ``run NETWORK`` calls it, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from calibration.errors import CalibrationError
from calibration.records import Judged, Measured
from calibration.table import load_table
from models.registry import MODELS
from models.weights import registered_table, registered_weights
from pipeline.build.options import BuildOptions
from pipeline.runtimes.registry import why_int8_does_not_pay

_OTHER = "build with --precision fp32 for FP32"


@dataclass(frozen=True)
class Choice:
    """What a build without ``--precision`` takes.

    Attributes:
        precision: None for the runtime's default.
        why: one line, with the known figures.
    """

    precision: str | None
    why: str


def choose_precision(options: BuildOptions) -> Choice:
    """Choose the precision for a build of ``options``; a precision in them is ignored."""
    reason = why_int8_does_not_pay(options.runtime)
    if reason is None and options.calibration is not None:
        return Choice("int8", f"INT8, calibrated on {options.calibration}; {_OTHER}")
    if reason is None:
        reason = _why_not_known(options)
    if reason is not None:
        return Choice(None, f"not INT8: {reason}")
    try:
        measured = load_table(registered_table(options.model)).measured
    except CalibrationError as error:  # damaged; --precision int8 says so at length
        return Choice(None, f"not INT8: {error}")
    return Choice("int8", f"{_figures(measured)}; {_OTHER}")


def _why_not_known(options: BuildOptions) -> str | None:
    """Say why the loss of INT8 is not known; None where the registered table has it."""
    if options.foreign is not None:
        return "--calibration names no road scenes for it"
    spec = MODELS.get(options.model)
    if spec is None or registered_weights(options.model) is None:
        return "no weights are registered"
    if options.weights not in (None, options.model):
        return "its table is of other weights; calibrate these with --calibration"
    if options.size not in (None, (spec.input.width, spec.input.height)):
        return "its table is of another size; calibrate this one with --calibration"
    if options.output_stride not in (None, spec.output_stride):
        return "its table is of another output stride; calibrate this one with --calibration"
    if not registered_table(options.model).is_file():
        return "no calibration table is registered; make one with --calibration"
    return None


def _figures(measured: Measured) -> str:
    judged = measured.get("judged", Judged())
    if "miou" not in judged:
        return "INT8"
    text = f"INT8: mIoU {100 * judged['miou']:.1f}, FP32 {100 * judged['miou_fp32']:.1f}"
    if "speedup" in judged:
        text += f", {judged['speedup']:.1f} times as fast on {judged['processor']}"
    return text
