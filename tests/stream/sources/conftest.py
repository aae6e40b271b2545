"""Fixtures for sources."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from camera_double import CameraDouble, plugged_in
from served import free_port


@pytest.fixture
def camera() -> Iterator[CameraDouble]:
    """A camera that is plugged in."""
    with plugged_in(CameraDouble()) as double:
        yield double


@pytest.fixture
def port() -> int:
    """A port that nothing listens on."""
    return free_port()
