"""Views into a network: what is measured, what is drawn, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.registry import MODELS, build_model
from models.spec import Figures, InputSpec, ModelSpec, Paper
from pipeline.cli import main
from pipeline.errors import ModelError, OutputError
from pipeline.evaluation.views.activations import view_activations
from pipeline.evaluation.views.canvas import Note, captioned, check_png, write_png
from pipeline.evaluation.views.receptive_field import (
    effective_field,
    effective_side,
    view_receptive_field,
)
from pipeline.evaluation.views.target import Target, open_target
from pipeline.graph.deployment import DeploymentGraph

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _one_drawn_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing frames is slow, so each view has only one besides the picture."""
    monkeypatch.setattr("pipeline.evaluation.views.receptive_field.FRAMES", (150,))


SMALL = InputSpec(width=120, height=90)


def spec_of(name: str) -> ModelSpec:
    paper = Paper("A title", "Somebody", 2020, "Somewhere")
    return ModelSpec(name, "none:none", paper, 1, 1, Figures(0, 0.0, 0), input=SMALL)


def subject_of(network: nn.Module, name: str = "drawn") -> Target:
    """A network on a picture of noise."""
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    graph = DeploymentGraph(network.requires_grad_(False), SMALL)
    return Target(spec_of(name), graph, None, picture, "noise")


def registered(name: str) -> Target:
    torch.manual_seed(0)
    return subject_of(build_model(MODELS[name]), name)


# --- The effective field -------------------------------------------------------------------------


def test_the_effective_side_is_that_of_the_smallest_square_with_the_mass() -> None:
    gradient = np.zeros((9, 11))
    gradient[4, 5] = 0.5
    gradient[4, 6] = 0.3  # distance 1: a square of 3
    gradient[1, 5] = 0.2  # distance 3: a square of 7
    assert [effective_side(gradient, mass) for mass in (0.4, 0.5, 0.51, 0.8, 0.81, 1.0)] == [
        1, 1, 3, 3, 7, 7,
    ]  # fmt: skip


def test_an_even_field_is_taken_almost_whole() -> None:
    # The outermost ring of a square of 101 pixels contains 4 % of it.
    gradient = np.full((101, 101), 1 / 101**2)
    assert effective_side(gradient) == 99


def test_the_gradient_is_that_of_all_logits_at_the_centre() -> None:
    network = nn.Conv2d(3, 11, 5, padding=2, bias=False)
    network.weight.data.abs_()  # without negative weights the gradient is the sum of the kernels
    target = subject_of(network)
    field = effective_field(target.graph, [target.picture])
    expected = np.zeros((90, 120))
    expected[43:48, 58:63] = network.weight.sum((0, 1)).numpy()
    np.testing.assert_allclose(field, expected / expected.sum(), atol=1e-7)


def test_every_frame_counts() -> None:
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.avg_pool2d(x.square(), (1, 3), 1, (0, 1))

    graph = DeploymentGraph(Square(), InputSpec(120, 90, mean=(0.0,) * 3, std=(1.0,) * 3))
    left, right = (np.zeros((90, 120, 3), np.uint8) for _ in range(2))
    left[:, :60], right[:, 60:] = 255, 255
    assert effective_field(graph, [left])[45, 59:62] == pytest.approx([1, 0, 0])
    assert effective_field(graph, [left, right])[45, 59:62] == pytest.approx([1 / 3] * 3)


def test_an_output_that_no_pixel_moves_is_refused() -> None:
    network = nn.Conv2d(3, 11, 3, padding=1)
    nn.init.zeros_(network.weight)
    with pytest.raises(ModelError, match="zero or not finite"):
        view_receptive_field(subject_of(network))


def test_the_effective_field_lies_within_the_theoretical_one() -> None:
    narrow = subject_of(nn.Sequential(nn.Conv2d(3, 8, 7, padding=3), nn.Conv2d(8, 11, 7)))
    _, report = view_receptive_field(narrow)
    assert (report.theoretical.height, report.theoretical.width) == (13, 13)
    assert 1 < report.effective_side <= 15  # the box of 13 may be one pixel off the centre
    assert report.inputs == 2
    assert report.theoretical_share == pytest.approx(13 * 13 / (90 * 120))


def test_the_drawing_is_the_picture_with_both_boxes_and_its_caption_below() -> None:
    target = subject_of(nn.Conv2d(3, 11, (61, 31), padding=15))
    image, report = view_receptive_field(target)
    assert image.dtype == np.uint8
    assert image.shape[1] == 960
    assert image.shape[0] > 720
    theoretical = (image[:720] == (255, 200, 90)).all(2)
    rows, columns = theoretical.any(1).nonzero()[0], theoretical.any(0).nonzero()[0]
    # Each pixel is drawn 8 x 8, and the pen is 4 wide.
    field = report.theoretical
    assert rows[[0, -1]] == pytest.approx([8 * field.top, 8 * (field.top + 61)], abs=3)
    assert columns[[0, -1]] == pytest.approx([8 * field.left, 8 * (field.left + 31)], abs=3)
    assert (image[:720] == (120, 255, 120)).all(2).any(), "no effective box"


# --- Activations ---------------------------------------------------------------------------------


def test_every_stage_is_shown_after_unpooling_and_after_its_convolutions() -> None:
    image, maps = view_activations(registered("segnet_lite"))
    sizes = [(5, 7), (11, 15), (22, 30), (45, 60), (90, 120)]
    assert [(m.stage, m.step) for m in maps] == [
        (stage, step) for stage in range(1, 6) for step in ("unpooled", "convolved")
    ]
    assert [m.values.shape for m in maps[::2]] == sizes
    assert [m.values.shape for m in maps[1::2]] == sizes
    assert [m.channels for m in maps] == [128, 128, 128, 64, 64, 32, 32, 16, 16, 16]
    assert image.shape[1] == 6 * (120 + 8) + 8  # picture and classes, then a column per stage


def test_unpooled_maps_are_empty_in_three_of_four_places() -> None:
    _, maps = view_activations(registered("segnet_lite"))
    for unpooled in maps[::2]:
        height, width = unpooled.values.shape
        assert np.count_nonzero(unpooled.values) <= (height // 2) * (width // 2)


class Decoded(nn.Module):
    """One stage whose channels are known, followed by a layer that works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.ModuleList([nn.Conv2d(3, 11, 1)])
        nn.init.zeros_(self.decoder[0].weight)
        self.decoder[0].bias.data.copy_(torch.tensor([-9.0, 1.0, 0.0, 4.0, 2.0] + [0.0] * 6))

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder[0](x).mul_(0)


def test_the_most_active_channel_is_shown_as_the_stage_left_it() -> None:
    _, (only,) = view_activations(subject_of(Decoded()))
    assert (only.stage, only.step, only.channel, only.channels) == (1, "convolved", 3, 11)
    assert (only.values == 4).all()


def test_looking_leaves_no_hook_behind() -> None:
    target = subject_of(Decoded())
    for _ in range(2):
        view_activations(target)
    assert not any(module._forward_hooks for module in target.graph.modules())


def test_a_network_without_decoder_names_those_with_one() -> None:
    with pytest.raises(ModelError, match=r"fcn8s was given.*one of deconvnet, segnet, ") as error:
        view_activations(subject_of(nn.Conv2d(3, 11, 1), "fcn8s"))
    assert "pspnet" not in str(error.value)


# --- The pictures --------------------------------------------------------------------------------


def test_registered_weights_are_taken_where_there_are_some_and_named() -> None:
    target = open_target("segnet_lite", None, None)
    assert target.weights == "segnet_lite"
    assert target.picture.shape == (360, 480, 3)
    assert "weights: segnet_lite; picture: frame 0 of the synthetic drive" in target.caption


@pytest.mark.parametrize(("name", "weights"), [("segnet_lite", "none"), ("segnet_basic", None)])
def test_random_weights_are_the_same_every_time_and_said_so(name: str, weights: str | None) -> None:
    first, second = (open_target(name, weights, None) for _ in range(2))
    assert first.weights is None
    assert "random (seed 0)" in first.caption
    pairs = zip(first.graph.parameters(), second.graph.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


# --- Files ---------------------------------------------------------------------------------------


def test_a_png_is_read_back_and_may_be_replaced_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "new" / "view.png"
    for grey in (10, 20):
        check_png(path)
        write_png(path, np.full((4, 5, 3), grey, np.uint8))
    assert (cv2.imread(str(path)) == 20).all()
    assert list(path.parent.iterdir()) == [path]


def test_a_file_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(OutputError, match="not written by roadseg"):
        check_png(photo)
    with pytest.raises(OutputError, match=r"ends in \.png"):
        check_png(tmp_path / "photo.jpg")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="directory"):
        check_png(tmp_path / "folder.png")


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_png(tmp_path / "file" / "view.png", np.zeros((4, 5, 3), np.uint8))


def test_a_long_caption_is_wrapped_to_the_width() -> None:
    image = np.zeros((10, 300, 3), np.uint8)
    short = captioned(image, [Note("word")])
    long = captioned(image, [Note("word " * 40, (1, 2, 3))])
    assert short.shape[1] == long.shape[1] == 300
    assert long.shape[0] > short.shape[0]
    assert (long[10:, -8:] == long[-1, -1]).all(), "text runs over the margin"


# --- The command ---------------------------------------------------------------------------------


def run_json(capsys: Captured, *arguments: str) -> dict[str, object]:
    assert main(["models", *arguments, "--json"]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return document


def error_of(capsys: Captured, *arguments: str) -> str:
    assert main(["models", *arguments]) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    return line


def test_the_table_is_the_registry(capsys: Captured) -> None:
    rows = run_json(capsys)["models"]
    assert isinstance(rows, list)
    for row, spec in zip(rows, MODELS.values(), strict=True):
        assert row["name"] == spec.name
        assert row["parameters"] == spec.figures.parameters
        assert row["gmacs"] == spec.figures.gmacs
        assert row["output_stride"] == spec.output_stride
        assert row["receptive_field"] == spec.figures.receptive_field
        assert row["global_context"] == spec.figures.global_context
        assert row["classes"] == 11
    weights = {row["name"]: row["weights"] for row in rows}
    assert 0.5 < weights["segnet_lite"][0]["val_miou"] < 1
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(MODELS)
    assert "499 + picture" in next(line for line in lines if line.startswith("pspnet_resnet50"))


def test_the_table_needs_no_torch() -> None:
    code = (
        "import sys; from pipeline.cli import main; main(['models']); main(['models', 'segnet']); "
        "sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode
        == 0
    )


def test_one_network_is_told_about_in_detail(capsys: Captured) -> None:
    detail = run_json(capsys, "segnet_lite")
    assert str(detail["title"]).startswith("SegNet: A Deep Convolutional")
    assert detail["variant"] == {"width": 0.25}
    assert detail["card"]["val"]["miou"] == detail["weights"][0]["val_miou"]  # type: ignore[index]
    assert main(["models", "fc_densenet103"]) == 0
    text = capsys.readouterr().out
    assert "2294" in text
    assert "66.9 on CamVid test" in text
    assert "none registered" in text


def test_a_view_is_written_and_told_in_json(capsys: Captured, tmp_path: Path) -> None:
    picture = tmp_path / "grey.jpg"
    cv2.imwrite(str(picture), np.full((300, 500, 3), 90, np.uint8))
    for option in ("--receptive-field", "--activations"):
        path = tmp_path / f"view{option}.png"
        told = run_json(capsys, "segnet_lite", option, str(path), "--picture", str(picture))
        assert told["output"] == str(path)
        assert told["weights"] == "segnet_lite"
        assert cv2.imread(str(path)) is not None
    assert len(told["activations"]) == 10  # type: ignore[arg-type]


def test_mistakes_are_one_line(capsys: Captured, tmp_path: Path) -> None:
    png = str(tmp_path / "view.png")
    assert "did you mean segnet?" in error_of(capsys, "segnit")
    assert "has no decoder" in error_of(capsys, "deeplab_v3_lite", "--activations", png)
    view = ("segnet_lite", "--receptive-field")
    assert "ends in .png" in error_of(capsys, *view, str(tmp_path / "view.gif"))
    assert "cannot be read" in error_of(capsys, *view, png, "--picture", str(tmp_path))
    assert "not found" in error_of(capsys, *view, png, "--weights", "nothing.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--receptive-field", "x.png"),
        ("segnet", "--receptive-field", "x.png", "--activations", "y.png"),
        ("segnet", "--weights", "none"),
        ("segnet", "--picture", "x.jpg"),
    ],
)
def test_wrong_usage_is_status_2(capsys: Captured, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["models", *arguments])
    assert stop.value.code == 2
    assert "lists the usage" in capsys.readouterr().err
