"""Fixtures for streams."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stream_doubles import stage_threads


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Fail when a stream leaves a thread behind."""
    yield
    assert stage_threads() == []
