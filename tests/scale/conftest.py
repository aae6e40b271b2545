"""Fixtures for tests beyond one machine; scripts/check_scale.sh runs these in their environment.

That has no PyTorch, so the fixtures of the other tests are not loaded here (``--confcutdir``).
"""

from __future__ import annotations

import os

import pytest
from tiny_openvino import write_engine

from pipeline.engine.manifest import Engine


@pytest.fixture(scope="session", autouse=True)
def _no_cache() -> None:
    """Keep the compiled engines out of the user's cache."""
    os.environ["ROADSEG_CACHE"] = ""


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An OpenVINO engine of three convolutions."""
    return write_engine(tmp_path_factory.mktemp("engine"))
