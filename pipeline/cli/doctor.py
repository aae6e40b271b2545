"""``doctor``: what this machine has."""

from __future__ import annotations

import argparse

from pipeline.cli.outcome import Outcome
from pipeline.doctor import as_text, examine


def run(options: argparse.Namespace) -> Outcome:
    """Examine the machine."""
    report = examine()
    return Outcome(report.to_json(), as_text(report))
