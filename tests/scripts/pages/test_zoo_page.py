"""The page about the networks agrees with registry, cards and measurements."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from models.registry import MODELS
from scripts.pages.zoo.faithful import ROWS
from scripts.pages.zoo.measure import BUILDS, measure, read_results
from scripts.pages.zoo.page import PAGE, page


def test_the_page_is_what_its_generator_makes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(read_results()), "run scripts/build_zoo.sh --page"


@pytest.mark.parametrize("name", MODELS)
def test_every_network_was_built_whole_at_full_width_on_both_runtimes(name: str) -> None:
    row = read_results()["networks"][name]
    for runtime, precision, _ in BUILDS:
        build = row[runtime]
        assert build["precision"] == precision
        assert set(build["convolutions"]) == {precision}
        # Folded batch norms and dropped zeros make a file slightly smaller than its parameters.
        each = 2 if precision == "fp16" else 4
        assert build["bytes"] > 0.98 * each * MODELS[name].figures.parameters
    cpu, gpu = (row[runtime]["convolutions"] for runtime, _, _ in BUILDS)
    assert sum(cpu.values()) == sum(gpu.values())
    assert row["openvino"]["agreement"] >= 0.99
    assert row["tensorrt-rtx"]["agreement"] is None


@pytest.mark.slow
def test_a_network_measured_now_has_the_row_of_those_recorded() -> None:
    row, recorded = measure("segnet_lite"), read_results()["networks"]["segnet_lite"]
    assert row.keys() == recorded.keys()
    for runtime, _, _ in BUILDS:
        assert row[runtime].keys() == recorded[runtime].keys()
        assert row[runtime]["convolutions"] == recorded[runtime]["convolutions"]
    assert row["openvino"]["agreement"] >= 0.99
    assert row["tensorrt-rtx"]["agreement"] is None  # FP16's own figures are no parity


def test_networks_built_on_another_machine_than_most_are_named() -> None:
    results = read_results()
    rows = {name: {**row, "machine": "a, 2 cores"} for name, row in results["networks"].items()}
    rows["unet"]["machine"] = "b, 4 cores"
    text = page({**results, "networks": rows})
    assert "\na, 2 cores; `unet` on b, 4 cores; openvino " in text


def test_missing_measurements_leave_no_row() -> None:
    text = page({"networks": {}})
    assert text.count("\n| `fcn8s` |") == 1  # only in the table of the zoo


def test_every_network_has_a_row_of_what_is_its_papers_and_what_is_not() -> None:
    assert sorted(name for row in ROWS for name in row.networks) == sorted(MODELS)
    for row in ROWS:
        assert row.tests or row.untested
        assert all((row.paper, row.release, row.differs, row.training))


def test_the_tests_that_the_rows_name_exist() -> None:
    tests = Path(__file__).parents[2]
    found = {
        name
        for path in tests.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert sorted({test for row in ROWS for test in row.tests} - found) == []


@pytest.mark.parametrize("module", sorted({s.builder.split(":")[0] for s in MODELS.values()}))
def test_every_file_of_a_network_says_what_differs(module: str) -> None:
    assert "\nDeviations: " in str(import_module(module).__doc__)
