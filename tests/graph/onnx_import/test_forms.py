"""Unusual inputs and outputs of foreign networks: recognised, or refused with a remedy."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from foreign_networks import CLASSES, SIZE, SmallNet, Then, class_file, export, made
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models.atomic import sha256_of
from pipeline.cli import main
from pipeline.errors import BuildError, RoadsegError, SizeError
from pipeline.graph.onnx_import import ForeignNetwork, ForeignOptions, check, open_foreign
from pipeline.graph.onnx_import.cut import Cut
from pipeline.graph.onnx_import.file import Picture
from pipeline.graph.onnx_import.head import channels
from pipeline.graph.onnx_import.operators import OPERATORS

Writer = Callable[..., Path]


@pytest.fixture
def write(network: nn.Module, tmp_path: Path) -> Writer:
    """Export the network, or a function of its logits."""

    def written(after: Callable[[Tensor], Any] | None = None, **options: Any) -> Path:
        exported = network if after is None else Then(network, after)
        return export(exported, tmp_path / "net.onnx", **options)

    return written


def opened(path: Path, count: int = CLASSES, **options: Any) -> ForeignNetwork:
    size = options.pop("size", None)
    classes = class_file(path.parent, count, void=False)
    return open_foreign(ForeignOptions(path, classes, **options), size)


def refusal(path: Path, count: int = CLASSES, **options: Any) -> str:
    """Return the one-line message with which a file is refused."""
    with pytest.raises(RoadsegError) as error:
        opened(path, count, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def same_logits(foreign: ForeignNetwork, network: nn.Module) -> bool:
    pictures = torch.randn((1, 3, *SIZE))
    with torch.no_grad():
        found, wanted = foreign.network(pictures), network(pictures)
    return bool(torch.allclose(found, wanted, atol=1e-4))


@pytest.mark.parametrize(
    "after",
    [
        lambda y: y.softmax(1),
        lambda y: y.log_softmax(1).permute(0, 2, 3, 1).argmax(3),
        lambda y: y.softmax(1).argmax(1).to(torch.uint8)[:, None],
        lambda y: torch.topk(y, 1, 1)[1],
        lambda y: y.sigmoid(),
        lambda y: y[0].argmax(0),
    ],
)
def test_decisions_are_cut_off_and_the_logits_are_left(
    after: Callable[[Tensor], Tensor], write: Writer, network: nn.Module
) -> None:
    assert same_logits(opened(write(after)), network)


def test_an_arg_max_over_the_last_axis_means_channels_last(
    write: Writer, network: nn.Module
) -> None:
    path = write(lambda y: y.permute(0, 2, 3, 1).contiguous().argmax(-1))
    assert same_logits(opened(path), network)


def test_logits_of_lower_resolution_are_resized(network: nn.Module, tmp_path: Path) -> None:
    class Quarter(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = network.classifier(network.features(x))  # type: ignore[operator]
            return y

    foreign = opened(export(Quarter(), tmp_path / "net.onnx"))
    assert same_logits(foreign, network)
    assert any("resized" in warning for warning in foreign.warnings)


def test_flattened_logits_find_their_shape_again(write: Writer, network: nn.Module) -> None:
    path = write(lambda y: y.flatten(2).transpose(1, 2))
    assert same_logits(opened(path), network)


def test_one_channel_means_two_classes(tmp_path: Path) -> None:
    network = made(SmallNet, 1)
    pictures = torch.randn((1, 3, *SIZE))
    with torch.no_grad():
        road = network(pictures) > 0
    for after in (lambda y: y, torch.sigmoid, lambda y: torch.sigmoid(y)[:, 0]):
        foreign = opened(export(Then(network, after), tmp_path / "net.onnx"), 2)
        with torch.no_grad():
            assert torch.equal(foreign.network(pictures).argmax(1, keepdim=True) == 1, road)


def test_a_threshold_is_kept(tmp_path: Path) -> None:
    network = made(SmallNet, 1)
    path = export(Then(network, lambda y: (y.sigmoid() > 0.6).to(torch.uint8)), tmp_path / "n.onnx")
    pictures = torch.randn((1, 3, *SIZE))
    with torch.no_grad():
        wanted = network(pictures).sigmoid() > 0.6
        assert torch.equal(opened(path, 2).network(pictures).argmax(1, keepdim=True) == 1, wanted)


def test_of_several_outputs_one_is_asked_for(write: Writer, network: nn.Module) -> None:
    path = write(lambda y: (y, y * 2), output_names=["main", "aux"])
    line = refusal(path)
    assert "main (1, 11, 64, 96), aux (1, 11, 64, 96)" in line
    assert "--output-name" in line
    assert same_logits(opened(path, output="main"), network)
    assert "did you mean main" in refusal(path, output="man")


def test_of_several_outputs_the_only_one_that_fits_is_taken(
    write: Writer, network: nn.Module
) -> None:
    path = write(lambda y: (y, y.argmax(1), y.mean((1, 2, 3))), output_names=["a", "b", "c"])
    assert same_logits(opened(path), network)


def test_any_tensor_may_be_named(write: Writer, network: nn.Module) -> None:
    path = write(lambda y: (y.round() * 3).to(torch.int64).amax(1))
    assert "whole numbers that no ArgMax made" in refusal(path)
    node = next(n for n in onnx.load(path).graph.node if n.op_type == "Resize")
    assert same_logits(opened(path, output=node.output[0]), network)


def test_bytes_mean_that_the_network_normalises(network: nn.Module, tmp_path: Path) -> None:
    class OfBytes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("mean", torch.tensor([123.0, 117.0, 104.0]).view(3, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.network((x.float() - self.mean) / 58)
            return y

    example = torch.zeros((1, 3, *SIZE), dtype=torch.uint8)
    path = export(OfBytes(), tmp_path / "net.onnx", example=example)
    foreign = opened(path)
    pictures = torch.randint(0, 256, (1, 3, *SIZE)).float()
    with torch.no_grad():
        wanted = network((pictures - torch.tensor([123.0, 117.0, 104.0]).view(3, 1, 1)) / 58)
        torch.testing.assert_close(foreign.network(pictures), wanted, rtol=1e-3, atol=1e-3)
    assert foreign.spec.input.mean == (0, 0, 0)
    assert foreign.spec.input.std == (1 / 255,) * 3
    assert foreign.warnings == ()
    assert "drop them" in refusal(path, mean=(0.0,) * 3, std=(1.0,) * 3)


def test_own_normalisation_of_floats_is_asked_about(network: nn.Module, tmp_path: Path) -> None:
    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = network(x / 127.5 - 1)
            return y

    path = export(Scaled(), tmp_path / "net.onnx")
    assert "--mean 0,0,0 --std 1,1,1" in refusal(path)
    assert opened(path, mean=(0.0,) * 3, std=(1.0,) * 3).warnings == ()


@pytest.mark.parametrize("opset", [12, 18])
def test_half_precision_files_are_read(network: nn.Module, tmp_path: Path, opset: int) -> None:
    half = made(SmallNet).half()
    example = torch.zeros((1, 3, *SIZE), dtype=torch.float16)
    foreign = opened(export(half, tmp_path / "net.onnx", opset=opset, example=example))
    assert {one.dtype for one in foreign.network.parameters()} == {torch.float32}
    pictures = torch.randn((1, 3, *SIZE))
    with torch.no_grad():
        found, wanted = foreign.network(pictures), network(pictures)
    assert float((found - wanted).abs().max()) < 0.05 * float(wanted.std())


def test_weights_beside_the_file_belong_to_its_hash(network: nn.Module, tmp_path: Path) -> None:
    path = export(network, tmp_path / "net.onnx", opset=18)
    onnx.save_model(
        onnx.load(path), path, save_as_external_data=True, location="net.data", size_threshold=0
    )
    assert opened(path).weights.sha256 == sha256_of(path, tmp_path / "net.data")
    (tmp_path / "net.data").unlink()
    assert "files with its weights lie beside it" in refusal(path)


def test_without_onnx_runtime_the_reference_of_onnx_compares(
    write: Writer, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write()
    missing = importlib.util.find_spec("onnxruntime_that_is_not_there")
    monkeypatch.setattr(check, "find_spec", lambda name: missing)
    assert same_logits(opened(path), network)


def test_an_import_that_computes_something_else_is_refused_with_its_first_node(
    write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(opset=17)
    monkeypatch.setitem(OPERATORS, "HardSwish", lambda call: F.relu6(call.x))
    line = refusal(path)
    assert "imported wrongly" in line
    assert "(HardSwish)" in line


def test_networks_in_the_style_of_tensorflow(tmp_path: Path) -> None:
    """NHWC input and output, transposes inside, SAME padding, computed sizes, align_corners."""
    random = np.random.default_rng(0)
    constants = {
        "w1": random.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "w2": random.normal(size=(8, 1, 3, 3)).astype(np.float32),
        "w3": random.normal(size=(5, 8, 1, 1)).astype(np.float32),
        "bias": random.normal(size=(1, 1, 1, 5)).astype(np.float32),
        "pads": np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64),
        "one": np.array([1], np.int64), "three": np.array([3], np.int64),
        "count": np.array([1, 5], np.int64), "none": np.zeros(0, np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], "model/conv/Conv2D__1", perm=[0, 3, 1, 2]),
        helper.make_node("Pad", ["t", "pads"], ["p"], "pad"),
        helper.make_node("Conv", ["p", "w1"], ["c1"], "model/conv/Conv2D", strides=[2, 2]),
        helper.make_node("Clip", ["c1", "low", "high"], ["r1"], "relu6"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "model/deep/depthwise", group=8,
                         auto_pad="SAME_UPPER", strides=[2, 2]),
        helper.make_node("Relu", ["c2"], ["r2"], "relu"),
        helper.make_node("Conv", ["r2", "w3"], ["c3"], "model/head/Conv2D"),
        helper.make_node("Transpose", ["c3"], ["c4"], "back", perm=[0, 2, 3, 1]),
        helper.make_node("Add", ["c4", "bias"], ["b"], "bias"),
        helper.make_node("Transpose", ["b"], ["b2"], "again", perm=[0, 3, 1, 2]),
        helper.make_node("Shape", ["x"], ["shape"], "shape"),
        helper.make_node("Slice", ["shape", "one", "three"], ["hw"], "hw"),
        helper.make_node("Concat", ["count", "hw"], ["size"], "size", axis=0),
        helper.make_node("Resize", ["b2", "none", "none", "size"], ["u"], "resize", mode="linear",
                         coordinate_transformation_mode="asymmetric"),
        helper.make_node("Transpose", ["u"], ["u2"], "last", perm=[0, 2, 3, 1]),
        helper.make_node("Softmax", ["u2"], ["s"], "softmax", axis=-1),
        helper.make_node("ArgMax", ["s"], ["y"], "argmax", axis=-1, keepdims=0),
    ]  # fmt: skip
    constants |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    graph = helper.make_graph(
        nodes,
        "tf",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["n", "h", "w"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    path = tmp_path / "tf.onnx"
    opset = helper.make_opsetid("", 13)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    assert "--size" in refusal(path, 5)
    foreign = opened(path, 5, size=(90, 61))
    assert foreign.sized
    with torch.no_grad():
        assert foreign.network(torch.zeros((1, 3, 61, 90))).shape == (1, 5, 61, 90)
    layers = [name for name, one in foreign.network.named_modules() if isinstance(one, nn.Conv2d)]
    assert layers == ["model.conv", "model.deep.depthwise", "model.head"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (128, 64)}, "works at 96x64 only; drop --size"),
        ({"count": 7}, r"expected a channel for each of the 7 classes"),
        ({"mean": (0.0, 0.0, 0.0)}, "only one of --mean and --std"),
        ({"mean": (0.0,) * 3, "std": (1.0, 0.0, 1.0)}, "expected numbers above 0"),
        ({"layout": "nhwc"}, "give --layout if it has another order"),
    ],
)
def test_wrong_options_are_one_line(change: dict[str, Any], message: str, write: Writer) -> None:
    assert message in refusal(write(), **change)


def test_a_size_that_is_left_open_is_asked_for(write: Writer) -> None:
    path = write(free=(2, 3))
    with pytest.raises(SizeError, match="give the size to work at"):
        opened(path)
    with pytest.raises(SizeError, match="sides from 16"):
        opened(path, size=(8, 8))
    assert opened(path, size=(80, 48)).spec.input.width == 80


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    assert "check --onnx" in refusal(path)
    path.write_bytes(b"not a network at all")
    assert "not a complete ONNX file" in refusal(path)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"a": (1, 3, 64, 96), "b": (1, 3, 64, 96)}, "has 2 inputs (a, b)"),
        ({"a": (1, 1, 64, 96)}, "expected 3 channels"),
        ({"a": (1, 3, 64)}, "expected pictures of 4 dimensions"),
    ],
)
def test_inputs_that_are_no_picture_are_refused(
    inputs: dict[str, tuple[int, ...]], message: str, tmp_path: Path
) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["a"], ["y"])],
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, inputs["a"])],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    assert message in refusal(path)


def test_a_network_for_one_picture_says_so_when_a_batch_is_asked_for(
    write: Writer, tmp_path: Path
) -> None:
    fixed = write(lambda y: (y.transpose(0, 1) + y.mean(0)).transpose(0, 1))
    options = ForeignOptions(fixed, class_file(tmp_path))
    assert open_foreign(options, None).spec.name == "net"
    with pytest.raises(BuildError, match="mixes those of a batch; drop --batch"):
        open_foreign(options, None, batch=4)
    free = replace(options, path=write())
    assert open_foreign(free, None, batch=4).spec.name == "net"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of MODEL, a bundle and --onnx FILE"),
        (["segnet", "--onnx", "net.onnx"], "give one of MODEL"),
        (["--onnx", "net.onnx"], "--onnx needs --classes FILE"),
        (["segnet", "--order", "bgr"], "--order is an option of --onnx"),
        (
            ["--onnx", "n.onnx", "--classes", "c", "--weights", "none"],
            "of networks of this project",
        ),
        (["--onnx", "n.onnx", "--classes", "c", "--mean", "1,2"], "is no colour"),
    ],
)
def test_the_command_line_tells_the_two_kinds_of_networks_apart(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        main(["build", *arguments])
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_names_that_differ_in_replaced_letters_alone_stay_apart(
    write: Writer, tmp_path: Path
) -> None:
    path = write()
    names = []
    for place, stem in enumerate(("\u9053\u8def", "\u8857\u9053", "plain-name_1")):
        copy = tmp_path / f"{stem}.onnx"
        model = onnx.load(path)
        model.doc_string = str(place)
        onnx.save(model, copy)
        names.append(opened(copy).spec.name)
    assert names[2] == "plain-name_1"
    assert names[0] != names[1]
    assert names[0] == f"__-{sha256_of(tmp_path / f'{chr(0x9053)}{chr(0x8DEF)}.onnx')[:8]}"


def test_another_networks_engine_is_replaced_by_force_or_kept_by_another_name(
    write: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, classes = write(), class_file(tmp_path, CLASSES, void=False)
    given = ["build", "--onnx", str(path), "--classes", str(classes), "--precision", "fp32"]
    given += ["--output", str(tmp_path / "engines")]
    assert main(given) == 0
    model = onnx.load(path)
    model.doc_string = "another file of the same name"
    onnx.save(model, path)
    assert main(given) == 1
    assert "--name" in capsys.readouterr().err.splitlines()[-1]
    assert main([*given, "--name", "other"]) == 0
    assert (tmp_path / "engines" / "other-openvino-fp32.xml").is_file()
    assert main([*given, "--force"]) == 0


PICTURE = Picture("x", "nchw", width=96, height=64, kind="float32")


@pytest.mark.parametrize(
    "shape",
    [(1, 5, 16, 24), (1, 16, 24, 5), (5, 16, 24), (1, 384, 5), (1, 5, 384)],
    ids=["NCHW", "NHWC", "CHW", "NLC", "NCL"],
)
def test_logits_may_lie_in_any_of_the_layouts_of_the_table(shape: tuple[int, ...]) -> None:
    truth = torch.arange(5 * 16 * 24.0).reshape(1, 5, 16, 24)
    lying = {
        (1, 5, 16, 24): truth,
        (1, 16, 24, 5): truth.permute(0, 2, 3, 1),
        (5, 16, 24): truth[0],
        (1, 384, 5): truth.reshape(1, 5, 384).permute(0, 2, 1),
        (1, 5, 384): truth.reshape(1, 5, 384),
    }[shape]
    assert torch.equal(channels(lying, Cut("out", "out"), PICTURE, 5), truth)


def test_where_two_sides_may_be_the_classes_the_form_of_the_picture_decides() -> None:
    logits = torch.zeros(1, 24, 16, 24)  # NHWC would be a map of 24x16, and the picture is wide
    assert channels(logits, Cut("out", "out"), PICTURE, 24) is logits


def test_where_nothing_decides_between_two_layouts_the_user_is_asked() -> None:
    square = replace(PICTURE, height=96)
    logits = torch.zeros(1, 24, 24, 24)
    with pytest.raises(BuildError, match=r"\(1, 24, 24, 24\), expected one of them alone .*--size"):
        channels(logits, Cut("out", "out"), square, 24)
    decided = channels(logits, Cut("out", "out", axis=3), square, 24)
    assert decided.shape == (1, 24, 24, 24)
