"""Quantisation-aware fine-tuning: the simulation matches what the quantiser then does."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calibration.quantizer.placement import CONVOLUTIONS, Placement
from calibration.records import Dtype
from calibration.scenes.dataset import Sample
from calibration.scenes.synthetic import SyntheticDrive
from calibration.table import load_table
from models.registry import build_model, model_spec
from models.spec import ModelSpec
from models.weights import encode
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.cli import main
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.qdq import QDQGraph
from pipeline.train.augment import Augmentation
from pipeline.train.batches import Batches
from pipeline.train.batchnorm import freeze_batch_norms
from pipeline.train.checkpoint import load_checkpoint
from pipeline.train.qat import input_thresholds, rounded_weight, simulate_int8
from pipeline.train.recipe import RECIPES, qat_recipe
from pipeline.train.runlog import RunLog
from pipeline.train.trainer import RunSettings, Trainer

SIZE = (96, 64)
TINY = replace(qat_recipe(RECIPES["segnet_lite"], 8), batch=2, crop=(64, 64), synthetic=0.0)


def spec_of(model: str) -> ModelSpec:
    spec = model_spec(model)
    variant = {"width": 0.125} if "width" in spec.variant else spec.variant
    shape = replace(spec.input, width=SIZE[0], height=SIZE[1])
    return replace(spec, variant=variant, input=shape)


def lively(spec: ModelSpec) -> nn.Module:
    """Return a random network whose batch norms have something to fold, some of it negative."""
    torch.manual_seed(0)
    network = build_model(spec).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            signs = torch.where(torch.rand(module.num_features) < 0.2, -1.0, 1.0)
            module.weight.data = signs * torch.empty(module.num_features).uniform_(0.7, 1.5)
            module.bias.data.uniform_(-0.2, 0.4)
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return network


class Case:
    """A network, its graph, and ranges measured on one frame."""

    def __init__(self, model: str) -> None:
        self.spec = spec_of(model)
        self.network = lively(self.spec)
        self.frame = torch.from_numpy(SyntheticDrive(*SIZE).frame(7)[0])[None]
        self.graph = DeploymentGraph(copy.deepcopy(self.network), self.spec.input)
        self.exported = ExportedGraph(self.graph)
        self.placement: Placement = self.exported.placement()
        self.reach = self._reach()

    def _reach(self) -> dict[str, float]:
        names = {node.name: name for node, name in self.placement.tensors.items()}
        reach: dict[str, float] = {}

        class Recorder(torch.fx.Interpreter):
            def run_node(self, n: torch.fx.Node) -> Any:
                result = super().run_node(n)
                if n.name in names:
                    reach[names[n.name]] = 0.9 * float(result.abs().max())
                return result

        with torch.no_grad():
            Recorder(self.exported.module).run(self.frame)
        return reach

    def threshold(self, name: str, _dtype: Dtype) -> float:
        return self.reach[name]

    def simulated(self) -> nn.Module:
        network = copy.deepcopy(self.network)
        simulate_int8(network, self.placement, self.threshold)
        return network

    @torch.no_grad()
    def logits(self, network: nn.Module) -> Tensor:
        result: Tensor = network(self.graph.preprocess(self.frame))
        return result

    @torch.no_grad()
    def quantised_logits(self) -> Tensor:
        """Return the logits of the quantised graph, before its arg-max.

        Signed, but with scales in FP32: FP16's digits concern TensorRT, not the training.
        """
        with (
            patch("calibration.quantizer.quantizer.in_half", lambda scale: scale),
            patch("calibration.quantizer.half_scales.in_half", lambda scale: scale),
            patch("pipeline.graph.qdq.too_fine", lambda *_: {}),
        ):
            module: Any = QDQGraph(self.exported, self.threshold, (), unsigned=False).with_dtype(
                torch.float32
            )
        found: list[Tensor] = []

        class Catcher(torch.fx.Interpreter):
            def run_node(self, n: torch.fx.Node) -> Any:
                result = super().run_node(n)
                if any(user.target is torch.ops.aten.argmax.default for user in n.users):
                    found.append(result)
                return result

        Catcher(module).run(self.frame)
        return found[0]


@pytest.fixture(scope="module")
def segnet() -> Case:
    return Case("segnet_lite")


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def share_moved(a: Tensor, b: Tensor) -> float:
    return float(((a - b).abs() > 1e-3).float().mean())


def test_the_simulation_computes_what_the_quantised_graph_computes(segnet: Case) -> None:
    simulated = segnet.logits(segnet.simulated())
    quantised, exact = segnet.quantised_logits(), segnet.logits(segnet.network)
    assert len(segnet.placement.int8) > 5
    # Sums in another order occasionally round a value to the next level, and unpooling then puts it
    # elsewhere: few logits differ, but those may differ much.
    assert float((simulated - quantised).abs().median()) < 1e-5
    assert share_moved(simulated, quantised) < 0.15
    assert share_moved(exact, quantised) > 0.95


def test_of_a_network_with_concatenations_it_computes_nearly_that() -> None:
    case = Case("deeplab_v3plus_lite")
    assert case.placement.concats
    simulated, quantised = case.logits(case.simulated()), case.quantised_logits()
    exact = case.logits(case.network)
    assert relative(simulated, quantised) < 0.6 * relative(exact, quantised)


def test_readers_of_one_tensor_have_its_range_and_parts_of_a_concatenation_the_largest() -> None:
    case = Case("deeplab_v3plus_lite")
    found = input_thresholds(case.placement, case.threshold)
    assert tuple(found) == case.placement.int8
    first: dict[Any, str] = {}
    shared = 0
    for name, node in case.placement.nodes.items():
        assert node.target in CONVOLUTIONS
        value = node.all_input_nodes[0]
        shared += value in first
        assert found[name] == found[first.setdefault(value, name)]
        if value in case.placement.concats:
            parts = [case.placement.tensors[part] for part in value.all_input_nodes]
            assert found[name] >= max(case.reach[part] for part in parts)
    assert shared > 0


def test_rounding_weights_before_or_after_folding_batch_norms_is_the_same() -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 4, 3, 3)
    factor = torch.tensor([0.01, -3.0, 1.0, 40.0, -0.2, 1.7]).view(-1, 1, 1, 1)
    torch.testing.assert_close(rounded_weight(weight * factor), rounded_weight(weight) * factor)
    # This is also the coding of weight files.
    coded = encode({"weight": weight})
    stored = coded["weight"] * coded["weight.scale"]
    torch.testing.assert_close(rounded_weight(weight), stored)


def test_filters_of_zeros_stay_zeros() -> None:
    assert rounded_weight(torch.zeros(2, 3, 1, 1)).eq(0).all()


def test_names_and_values_of_the_state_stay_and_a_plain_network_loads_them(segnet: Case) -> None:
    simulated = segnet.simulated()
    segnet.logits(simulated)
    expected, found = segnet.network.state_dict(), simulated.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    plain = build_model(segnet.spec).eval()
    plain.load_state_dict(copy.deepcopy(simulated).state_dict(), strict=True)
    assert torch.equal(segnet.logits(plain), segnet.logits(segnet.network))


def test_a_copy_simulates_with_its_own_weights(segnet: Case) -> None:
    simulated = segnet.simulated()
    average = copy.deepcopy(simulated)
    assert torch.equal(segnet.logits(average), segnet.logits(simulated))
    with torch.no_grad():
        for parameter in average.parameters():
            parameter.mul_(1.5)
    assert not torch.equal(segnet.logits(average), segnet.logits(simulated))


def test_a_failed_pass_leaves_the_weights_as_they_were(segnet: Case) -> None:
    simulated = segnet.simulated()
    name = segnet.placement.int8[0]
    convolution = simulated.get_submodule(name)
    with pytest.raises(RuntimeError, match="channels"):
        convolution(torch.zeros(1, 1, 8, 8))
    assert convolution.weight is convolution.get_parameter("weight")


def test_gradients_reach_the_full_precision_weights_and_steps_lower_the_loss(segnet: Case) -> None:
    network = segnet.simulated().train()
    freeze_batch_norms(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02)
    x = segnet.graph.preprocess(segnet.frame)
    label = torch.arange(SIZE[0])[None, None].expand(1, SIZE[1], -1) // 32
    losses = []
    for _ in range(4):
        loss = F.cross_entropy(network(x), label)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    for name in segnet.placement.int8:
        weight = network.get_submodule(name).get_parameter("weight")
        assert weight.grad is not None
        assert weight.grad.abs().sum() > 0
    after = network.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert any(name.endswith("conv.weight") for name in changed)
    assert not [name for name in changed if "running" in name or "num_batches" in name]


def test_a_run_keeps_statistics_validates_its_start_and_leaves_a_plain_checkpoint(
    segnet: Case, tmp_path: Path
) -> None:
    drive = SyntheticDrive(*SIZE)
    samples = [Sample(str(i), *drive.frame(40 * i)) for i in range(4)]
    recipe = replace(TINY, steps=2, validate_every=1)
    run = Trainer(segnet.spec, segnet.simulated(), recipe, RunSettings(tmp_path), torch.ones(11))
    run.train(
        Batches(samples, Augmentation((64, 64), (0.9, 1.1), segnet.spec.classes.void), 2, 0),
        samples[:1],
    )
    assert run.finished
    validated = [row["step"] for row in RunLog(tmp_path / "log.jsonl").rows() if "miou" in row]
    assert validated == [0, 1, 2]
    saved = load_checkpoint(tmp_path / "checkpoint.pt", "segnet_lite")
    assert saved["recipe"]["qat"] is True
    build_model(segnet.spec).load_state_dict(saved["average"], strict=True)
    start = segnet.network.state_dict()
    for name, value in saved["average"].items():
        if "running" in name:
            assert torch.equal(value, start[name])


def test_the_recipe_is_short_and_slow() -> None:
    whole = RECIPES["pspnet_resnet50"]
    recipe = qat_recipe(whole, 367)
    assert recipe.steps == 367  # 4 epochs in batches of 4
    assert recipe.rate == whole.rate / 50
    assert recipe.auxiliary == 0
    assert recipe.qat
    assert qat_recipe(whole, 1).validate_every == 1


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of the synthetic drive: 16 to train and calibrate on, 2 to validate."""
    folder = tmp_path_factory.mktemp("qat") / "data"
    drive = SyntheticDrive(160, 120)
    for part, count in (("train", 16), ("val", 2)):
        for kind in ("images", "labels"):
            (folder / part / kind).mkdir(parents=True)
        for index in range(count):
            for kind, picture in zip(("images", "labels"), drive.frame(index * 40), strict=True):
                cv2.imwrite(str(folder / part / kind / f"{index:03d}.png"), picture)
    return folder


def fine_tune(data: Path, folder: Path, *more: str) -> int:
    words = ["train", "segnet_lite", "--data", str(data), "--folder", str(folder), *more]
    return main([*words, "--json"])


ErrorOf = Callable[..., str]


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> ErrorOf:
    def run(*more: str) -> str:
        assert fine_tune(data, tmp_path / "run", *more) == 1
        lines = [ln for ln in capsys.readouterr().err.splitlines() if ln.startswith("error: ")]
        assert len(lines) == 1
        return lines[0]

    return run


def test_without_ranges_one_line_says_how_to_get_them(
    error_of: ErrorOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = "pipeline.train.qat.registered_table"
    monkeypatch.setattr(path, lambda model: tmp_path / f"{model}.json")
    message = error_of("--qat")
    assert "segnet_lite, which has no calibration table" in message
    assert "pass --calibration" in message


def test_options_that_do_not_fit_together_are_refused(error_of: ErrorOf) -> None:
    assert "--weights some.safetensors was given with --encoder-weights" in error_of(
        "--weights", "some.safetensors", "--encoder-weights", "published"
    )
    assert "--calibration was given without --qat" in error_of("--calibration", "some.json")
    assert "--qat was given with --encoder-weights" in error_of(
        "--qat", "--encoder-weights", "published"
    )


@pytest.mark.slow
def test_the_command_fine_tunes_and_the_result_builds_in_int8(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = model_spec("segnet_lite")
    small = replace(spec, input=replace(spec.input, width=SIZE[0], height=SIZE[1]))
    for module in ("cli.train", "train.run"):  # the registered size takes minutes to calibrate
        monkeypatch.setattr(f"pipeline.{module}.model_spec", lambda name: small)
    folder = tmp_path / "run"
    given = ("--qat", "--calibration", str(data / "train"), "--steps", "1")
    assert fine_tune(data, folder, *given) == 0
    card = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert card["recipe"]["qat"] is True
    assert card["command"].startswith("python -m pipeline train segnet_lite --qat --calibration ")
    assert card["pretrained"].startswith("trained weights segnet_lite.safetensors, SHA-256 ")
    # A run of the other kind does not continue from it.
    assert fine_tune(data, folder, "--resume", "--steps", "2") == 1
    assert "was trained with --qat" in capsys.readouterr().err
    options = BuildOptions(
        "segnet_lite",
        precision="int8",
        size=SIZE,
        weights=str(folder / card["file"]),
        calibration=data / "train",
        data=data / "val",
        max_miou_drop=100.0,
        output=tmp_path / "engines",
    )
    engine = build(options, lambda what, share: None)
    assert engine.manifest.layers.counts()["int8"] > 5
    table = load_table(tmp_path / "engines" / f"{engine.manifest.name}.calibration.json")
    assert table.fingerprint["weights"] == card["sha256"]
