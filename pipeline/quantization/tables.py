"""Where ranges come from: a table, pictures, a video, or the table of the registered weights."""

from __future__ import annotations

import logging
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.frames import CalibrationFrames, open_calibration_frames
from calibration.table import CalibrationTable, load_table
from models.weights import registered_table
from pipeline.progress import Progress
from pipeline.quantization.calibrate import Target, calibrate

log = logging.getLogger(__name__)


def open_table(
    target: Target, given: Path | None, progress: Progress
) -> tuple[CalibrationTable, CalibrationFrames | None]:
    """Return the calibration table for ``target``, and the frames if it was made just now.

    ``given`` is a table, a folder of pictures or a video; None for the registered table.

    Raises:
        CalibrationError: nothing to calibrate with, or a table of another target.
        DataError: pictures that cannot be used.
    """
    if given is not None and given.suffix.lower() != ".json":
        frames = open_calibration_frames(given, progress=progress)
        return calibrate(target, frames, progress), frames
    path = registered_table(target.spec.name) if given is None else given
    if given is None and not path.exists():
        raise CalibrationError(
            f"--precision int8 was asked for {target.spec.name}, which has no calibration table "
            "in the repository, and no --calibration was given; pass --calibration with a folder "
            "of road pictures or a video (random noise is never used)"
        )
    table = load_table(path)
    table.check(target.spec.name, target.identity())
    return table, None


def classifiers_without_range(table: CalibrationTable, target: Target) -> dict[str, str]:
    """Return the classifiers that an older table has no range for -> why they are not INT8."""
    placement = target.exported.placement()
    lacking = [
        name
        for name in placement.classifiers
        if placement.tensors[placement.nodes[name].all_input_nodes[0]] not in table.sites
        and name not in target.kept
    ]
    if lacking:
        log.warning(
            "the calibration table of %s has no ranges for its classifier (%s), which stays in "
            "floating point; calibrate again with --calibration DIR|VIDEO to have it in INT8",
            table.model,
            ", ".join(lacking),
        )
    return dict.fromkeys(lacking, "classifier: the calibration table has no range for its input")
