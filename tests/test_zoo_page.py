"""The page about the networks says what the registry, the cards and the measurements say."""

from __future__ import annotations

import pytest

from models.registry import MODELS
from pipeline.zoo.measure import BUILDS, read_results
from pipeline.zoo.page import PAGE, page


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
        # Folded batch norms and dropped zeros make a file a little smaller than its parameters.
        each = 2 if precision == "fp16" else 4
        assert build["bytes"] > 0.98 * each * MODELS[name].figures.parameters
    cpu, gpu = (row[runtime]["convolutions"] for runtime, _, _ in BUILDS)
    assert sum(cpu.values()) == sum(gpu.values())
    assert row["openvino"]["agreement"] >= 0.99
    assert row["tensorrt-rtx"]["agreement"] is None


def test_missing_measurements_leave_no_row() -> None:
    text = page({"machine": "", "networks": {}})
    assert text.count("`fcn8s`") == 1  # in the table of the zoo alone
