"""Fixtures for the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.stream.web import HttpOptions, Page


@pytest.fixture
def page() -> Iterator[Page]:
    """A page on a free port; it listens as soon as it has a camera."""
    with Page(HttpOptions(port=0)) as page:
        yield page
