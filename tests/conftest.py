"""Fixtures for all tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import silent_imports  # noqa: F401  # before torchao is imported
from host_kernel import HostKernel

from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine


def pytest_configure() -> None:
    """Keep the compiled engines out of the user's cache."""
    os.environ["ROADSEG_CACHE"] = ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the marker ``road_data`` to the tests that use the fixture of that name."""
    for item in items:
        if "road_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.road_data)


@pytest.fixture(scope="session")
def road_data() -> Path:
    """Folder with road data, laid out as docs/training.md describes; skips if there is none.

    ``ROADSEG_REQUIRE_DATA=1`` turns the skip into a failure: CI must not pass by skipping.
    """
    folder = os.environ.get("ROADSEG_DATA")
    if folder:
        return Path(folder)
    reason = (
        "ROADSEG_DATA is not set: it names the folder with road data (docs/training.md, Road data)"
    )
    if os.environ.get("ROADSEG_REQUIRE_DATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def system_part() -> Callable[[str, Sequence[str]], None]:
    """Skip if a program from the system's packages is missing; called with a name and a probe.

    The probe is a command that succeeds if the program is there. ``ROADSEG_REQUIRE_SYSTEM=1`` turns
    the skip into a failure.
    """

    def need(name: str, probe: Sequence[str]) -> None:
        try:
            found = subprocess.run(probe, capture_output=True, timeout=60).returncode == 0
        except OSError:
            found = False
        if found:
            return
        reason = f"{name} is not installed: run scripts/system_packages.sh (Debian or Ubuntu)"
        if os.environ.get("ROADSEG_REQUIRE_SYSTEM") == "1":
            pytest.fail(reason)
        pytest.skip(reason)

    return need


@pytest.fixture(scope="session")
def small_options() -> BuildOptions:
    """The trained ``segnet_lite`` at a size that takes seconds instead of minutes."""
    return BuildOptions("segnet_lite", size=(120, 90))


@pytest.fixture(scope="session")
def small_engine(small_options: BuildOptions, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An OpenVINO engine of ``small_options``; tests that change its files copy them first."""
    # Not at the top: a borrowed GPU machine may lack the build packages, but runs session tests.
    from pipeline.build.build import build

    folder = tmp_path_factory.mktemp("engines")
    return build(replace(small_options, output=folder), lambda what, share: None)


@pytest.fixture(scope="session")
def host_kernel(
    tmp_path_factory: pytest.TempPathFactory,
    system_part: Callable[[str, Sequence[str]], None],
) -> HostKernel:
    """The overlay's CUDA kernel, compiled for the processor."""
    system_part("a C++ compiler", ["c++", "--version"])
    return HostKernel(tmp_path_factory.mktemp("kernel"))
