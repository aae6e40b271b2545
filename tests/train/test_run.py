"""Training runs in practice: stopped, killed, resumed, ended early, inspected."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from calibration.scenes.dataset import Sample
from models.classes import CAMVID, ClassSet
from models.registry import MODELS, build_model, model_spec
from pipeline.errors import OutputError, TrainingError, WeightsError
from pipeline.train import checkpoint as checkpoints
from pipeline.train.augment import Augmentation
from pipeline.train.batches import Batches
from pipeline.train.checkpoint import load_checkpoint, save_checkpoint
from pipeline.train.recipe import RECIPES, Recipe
from pipeline.train.runlog import RunLog
from pipeline.train.trainer import RunSettings, Trainer

#: Narrower than the registered one: these tests do not depend on the width.
LITE = replace(model_spec("segnet_lite"), variant={"width": 0.0625})
TINY = Recipe(steps=4, batch=2, crop=(64, 64), warmup=1, validate_every=2)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def batches(samples: list[Sample]) -> Batches:
    return Batches(samples, Augmentation(TINY.crop, TINY.scale, CAMVID.void), TINY.batch, 0)


def trainer(folder: Path, recipe: Recipe = TINY, **settings: Any) -> Trainer:
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    run = RunSettings(folder, checkpoint_seconds=1e9, **settings)
    return Trainer(LITE, build_model(LITE), recipe, run, torch.ones(11))


def rows(folder: Path) -> list[dict[str, Any]]:
    return RunLog(folder / "log.jsonl").rows()


def saved_step(folder: Path) -> int:
    return int(load_checkpoint(folder / "checkpoint.pt", "segnet_lite")["step"])


def same_weights(one: Trainer, other: Trainer) -> bool:
    mine, theirs = one.average.state_dict(), other.average.state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, samples: list[Sample]) -> Trainer:
    """An uninterrupted run."""
    run = trainer(tmp_path_factory.mktemp("whole"))
    augmentation = Augmentation(TINY.crop, TINY.scale, CAMVID.void)
    run.train(Batches(samples, augmentation, TINY.batch, 0), samples[:1])
    return run


@pytest.mark.parametrize("step", [1, 3])
def test_a_stopped_run_is_saved_at_its_step_and_goes_on_to_the_same_end(
    tmp_path: Path, samples: list[Sample], batches: Batches, whole: Trainer, step: int
) -> None:
    first = trainer(tmp_path)
    take_step = first._step

    def step_and_stop(*batch: torch.Tensor) -> float:
        loss = take_step(*batch)
        if first.step == step:
            first.settings.stop.set()  # the effect of Ctrl-C
        return loss

    first._step = step_and_stop  # type: ignore[method-assign, assignment]
    first.train(batches, samples[:1])
    assert first.step == saved_step(tmp_path) == step
    assert not first.finished
    second = trainer(tmp_path)
    second.resume()
    second.train(batches, samples[:1])
    assert second.finished
    assert same_weights(second, whole)
    assert second.best == whole.best


def test_a_validation_that_was_stopped_is_done_again(
    tmp_path: Path, samples: list[Sample], batches: Batches, whole: Trainer
) -> None:
    class StopsWhenRead(list[Sample]):
        def __iter__(self) -> Any:
            for sample in samples[:1]:
                first.settings.stop.set()
                yield sample

    first = trainer(tmp_path)
    first.train(batches, StopsWhenRead(samples[:1]))
    assert first.step == saved_step(tmp_path) == 2
    assert [row for row in rows(tmp_path) if "miou" in row] == []
    second = trainer(tmp_path)
    second.resume()
    second.train(batches, samples[:1])
    validated = [(row["step"], row["miou"]) for row in rows(tmp_path) if "miou" in row]
    assert validated == [
        (row["step"], row["miou"]) for row in rows(whole.settings.folder) if "miou" in row
    ]
    assert same_weights(second, whole)


def test_dropout_draws_on_where_it_stopped(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.save()
    expected = torch.rand(3)
    torch.manual_seed(7)
    run.resume()
    assert torch.equal(torch.rand(3), expected)


def test_the_checkpoint_knows_of_the_best_as_soon_as_it_is_kept(
    tmp_path: Path, samples: list[Sample], batches: Batches
) -> None:
    run = trainer(tmp_path)
    run.train(batches, samples[:1])
    kept = load_checkpoint(tmp_path / "best.pt", "segnet_lite")
    last = load_checkpoint(tmp_path / "checkpoint.pt", "segnet_lite")
    assert kept["best"] == last["best"] == run.best
    assert last["validated"] == 4


def test_a_resumed_log_has_every_step_once(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.step = 20
    run.save()
    for step in (10, 20, 30):
        run.log.append({"step": step, "seconds": 0.0, "loss": 1.0})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 40, "lo')  # killed in the middle of a row
    run.resume()
    assert [row["step"] for row in rows(tmp_path)] == [10, 20]


def test_a_run_ends_when_validations_bring_nothing_for_long(
    tmp_path: Path, samples: list[Sample], batches: Batches
) -> None:
    patient = replace(TINY, steps=40, validate_every=1, patience=1, rate=0.0)
    run = trainer(tmp_path, patient)
    run.train(batches, samples[:1])
    assert run.finished
    assert run.step < 40
    validated = [row["miou"] for row in rows(tmp_path) if "miou" in row]
    best = validated.index(max(validated))
    assert len(validated) == best + 1 + 1
    again = trainer(tmp_path, patient)
    again.resume()
    again.train(batches, samples[:1])
    assert again.step == run.step


def test_no_recipe_of_the_table_ends_early_by_accident() -> None:
    for recipe in (Recipe(), *RECIPES.values()):
        assert recipe.patience >= 3
        assert recipe.steps > recipe.validate_every


def test_every_network_has_a_recipe_whose_crops_it_can_work_on() -> None:
    assert set(RECIPES) == set(MODELS)
    for name, recipe in RECIPES.items():
        assert min(recipe.crop) >= MODELS[name].minimum_size
        assert recipe.teacher is None or recipe.teacher in MODELS


def test_what_is_compared_is_trained_alike() -> None:
    compared = ["fcn8s", "unet", "deeplab_v1", "dilatednet", "deeplab_v2", "deconvnet"]
    names = [*(f"{name}_lite" for name in compared), "pspnet_cut5", "deeplab_v3_cut5"]
    assert {RECIPES[name] for name in names} == {RECIPES["fcn8s_lite"]}
    assert RECIPES["fcn8s_lite"].teacher is None


def test_a_new_run_takes_nothing_over_from_an_old_one(
    tmp_path: Path, samples: list[Sample], batches: Batches
) -> None:
    for name in ("best.pt", "log.jsonl", "curves.svg", "checkpoint.pt"):
        (tmp_path / name).write_text('{"step": 9, "loss": 1.0}\n')
    run = trainer(tmp_path)
    run.settings.stop.set()
    run.train(batches, samples[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert saved_step(tmp_path) == 0


def test_a_loss_that_is_no_number_ends_the_run_in_one_line(
    tmp_path: Path, samples: list[Sample], batches: Batches
) -> None:
    run = trainer(tmp_path)
    with torch.no_grad():
        next(run.network.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"loss is nan at step 0.*rate of 0\.002"):
        run.train(batches, samples[:1])


def test_the_bar_shows_loss_rate_best_score_and_time_left(
    tmp_path: Path, samples: list[Sample], batches: Batches, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trainer(tmp_path, bar=True)
    run.train(batches, samples[:1])
    written = capsys.readouterr()
    last = written.err.rstrip().splitlines()[-1].split("\r")[-1]
    assert "4/4" in last
    assert "<00:00" in last  # elapsed<left
    assert f"best val mIoU {100 * run.best:.1f}" in last
    assert "loss " in last
    assert "rate " in last
    assert written.out == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["sky", "road"]}, r"2 classes \(sky, road\), expected 11 \(Sky, Building"),
        ({"seed": 5}, "trained with --seed 5, 0 was given"),
        ({"network": {}}, "does not fit segnet_lite"),
        ({"optimizer": None}, "does not fit segnet_lite"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_in_words(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    run = trainer(tmp_path)
    run.save()
    state = load_checkpoint(tmp_path / "checkpoint.pt", "segnet_lite")
    changed = {name: value for name, value in (state | change).items() if value is not None}
    save_checkpoint(tmp_path / "checkpoint.pt", changed)
    with pytest.raises(WeightsError, match=message) as caught:
        run.resume()
    assert "\n" not in str(caught.value)


def test_a_checkpoint_from_before_classes_were_recorded_is_one_of_camvid(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "old.pt", {"model": "segnet_lite"})
    assert load_checkpoint(tmp_path / "old.pt", "segnet_lite", CAMVID)
    other = ClassSet(("a", "b"), ((0, 0, 0), (1, 1, 1)))
    with pytest.raises(WeightsError, match="give the --classes file of that run"):
        load_checkpoint(tmp_path / "old.pt", "segnet_lite", other)


def test_a_file_that_holds_no_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="expected format 1"):
        load_checkpoint(tmp_path / "list.pt", "segnet_lite")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_the_checkpoint_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"model": "segnet_lite", "step": 1})

    def half(_state: object, file: Any) -> None:
        file.write(b"half of a")
        raise error

    monkeypatch.setattr(checkpoints.torch, "save", half)
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        save_checkpoint(path, {"model": "segnet_lite", "step": 2})
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert load_checkpoint(path, "segnet_lite")["step"] == 1


def test_a_run_killed_while_it_saves_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    code = (
        "import sys, itertools, pathlib, torch\n"
        "from pipeline.train.checkpoint import save_checkpoint\n"
        "for step in itertools.count():\n"
        "    state = {'model': 'segnet_lite', 'step': step, 'x': torch.full((500_000,), step)}\n"
        "    save_checkpoint(pathlib.Path(sys.argv[1]), state)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in range(20):  # in the middle of whatever it is doing
            time.sleep(0.013)
            state = load_checkpoint(path, "segnet_lite")
            assert (state["x"] == state["step"]).all()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    state = load_checkpoint(path, "segnet_lite")
    assert (state["x"] == state["step"]).all()


def test_the_log_is_one_object_per_line(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    assert log.rows() == []
    log.append({"step": 1, "loss": 0.5})
    log.append({"step": 2, "miou": 0.25})
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == log.rows()
