"""Fixtures for training."""

from __future__ import annotations

import pytest

from calibration.scenes.dataset import Sample
from calibration.scenes.synthetic import SyntheticDrive


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """Three labelled frames of the drawn drive, 96x72."""
    drive = SyntheticDrive(96, 72)
    return [Sample(str(i), *drive.frame(40 * i)) for i in range(3)]
