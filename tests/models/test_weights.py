"""Weight files: strict, small, and refused in one line if they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.errors import WeightsError
from models.registry import MODELS, build_model, model_spec
from models.weights import (
    decode,
    encode,
    load_weights,
    registered_weights,
    save_weights,
    weights_card,
)

LITE = model_spec("segnet_lite")


def test_int8_coding_is_off_by_at_most_half_a_step_per_output_channel() -> None:
    kernel = torch.randn(8, 4, 3, 3) * torch.logspace(-3, 2, 8).view(8, 1, 1, 1)
    restored = decode(encode({"conv.weight": kernel}))["conv.weight"]
    step = kernel.abs().amax((1, 2, 3), keepdim=True) / 127
    assert ((restored - kernel).abs() <= step / 2 * 1.001).all()


def test_a_channel_of_zeros_survives_coding() -> None:
    assert torch.equal(decode(encode({"w": torch.zeros(2, 1, 3, 3)}))["w"], torch.zeros(2, 1, 3, 3))


def test_everything_but_kernels_is_kept_exactly() -> None:
    state = {"bias": torch.randn(5), "count": torch.tensor(3), "mean": torch.randn(7)}
    restored = decode(encode(state))
    assert all(torch.equal(restored[name], state[name]) for name in state)


def test_saved_weights_load_back_into_the_same_network(tmp_path: Path) -> None:
    torch.manual_seed(1)
    trained, fresh = build_model(LITE), build_model(LITE)
    save_weights(tmp_path / "w.safetensors", LITE, trained.state_dict())
    loaded = load_weights(fresh, LITE, str(tmp_path / "w.safetensors"))
    assert loaded.sha256 is not None
    expected = decode(encode(trained.state_dict()))
    assert all(torch.equal(fresh.state_dict()[name], expected[name]) for name in expected)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, LITE, build_model(LITE).state_dict())
    full = model_spec("segnet")
    with pytest.raises(WeightsError, match="belong to segnet_lite, expected segnet"):
        load_weights(build_model(full), full, str(path))


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    state = build_model(LITE).state_dict()
    del state["classifier.bias"]
    save_weights(tmp_path / "w.safetensors", LITE, state)
    with pytest.raises(WeightsError, match=r"classifier\.bias"):
        load_weights(build_model(LITE), LITE, str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_a_damaged_file_is_refused_in_words(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, LITE, build_model(LITE).state_dict())
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "garbage": b"x" * 999, "empty": b""}[damage])
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(build_model(LITE), LITE, str(path))


def test_a_missing_file_is_refused_in_words() -> None:
    with pytest.raises(WeightsError, match="not found"):
        load_weights(build_model(LITE), LITE, "nowhere.safetensors")


def test_none_keeps_the_random_weights() -> None:
    network = build_model(LITE)
    before = network.classifier.weight.clone()
    assert load_weights(network, LITE, "none").sha256 is None
    assert torch.equal(network.classifier.weight, before)


TRAINED = [name for name in MODELS if registered_weights(name)]


def test_the_demo_networks_have_trained_weights() -> None:
    assert {"segnet", "segnet_lite", "deeplab_v3plus_lite"} <= set(TRAINED)


@pytest.mark.parametrize("name", TRAINED)
def test_committed_weights_load_strictly_and_match_their_card(name: str) -> None:
    spec, card = model_spec(name), weights_card(name)
    loaded = load_weights(build_model(spec), spec, None)
    assert card is not None
    assert card["sha256"] == loaded.sha256
    assert set(card["val"]["iou"]) == set(spec.classes.names)
    assert "research only" in card["licence"]


def test_a_weight_file_has_the_rights_of_other_new_files(tmp_path: Path) -> None:
    spec = model_spec("segnet_lite")
    save_weights(tmp_path / "mine.safetensors", spec, {"bias": torch.zeros(3)})
    (tmp_path / "other").touch()
    rights = [(tmp_path / name).stat().st_mode & 0o777 for name in ("mine.safetensors", "other")]
    assert rights[0] == rights[1]
