"""Writes the speedup of INT8 into the registered calibration tables, for the output of builds."""

from __future__ import annotations

from dataclasses import replace

from calibration.records import Judged, Measured
from calibration.table import load_table
from models.registry import model_spec
from models.speeds import OURS, Speed, Speeds
from models.weights import registered_table


def write_into_tables(speeds: Speeds) -> None:
    """Write the speedup of every network into its registered table."""
    for name, gain in gains(speeds).items():
        path = registered_table(name)
        table = load_table(path)
        judged = table.measured.get("judged", Judged())
        judged = Judged(**{**judged, "speedup": gain, "processor": speeds.machine})
        replace(table, measured=Measured(**{**table.measured, "judged": judged})).save(path)


def gains(speeds: Speeds) -> dict[str, float]:
    """Return the speedup of INT8 over FP32 by network, at its registered size."""
    found: dict[str, dict[str, Speed]] = {}
    for row in speeds.rows:
        given = model_spec(row.network).input
        if row.tool == OURS and (row.width, row.height) == (given.width, given.height):
            found.setdefault(row.network, {})[row.precision] = row
    return {
        name: round(rows["fp32"].milliseconds / rows["int8"].milliseconds, 2)
        for name, rows in found.items()
    }
