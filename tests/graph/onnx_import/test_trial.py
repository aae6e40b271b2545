"""Files of a few bytes that need unlimited memory or time."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import BuildError
from pipeline.graph.onnx_import.options import ForeignOptions
from pipeline.graph.onnx_import.trial import try_out

_ROOT = Path(__file__).parents[3]


def expand() -> onnx.ModelProto:
    """A constant of 2^40 values, added to the picture."""
    shape = numpy_helper.from_array(np.array([1, 1 << 20, 1 << 20], np.int64), "shape")
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    nodes = [
        helper.make_node("Expand", ["one", "shape"], ["large"]),
        helper.make_node("Exp", ["large"], ["larger"]),
        helper.make_node("Add", ["x", "larger"], ["y"]),
    ]
    return model(nodes, [shape, one])


def resize() -> onnx.ModelProto:
    """The picture, 600 times as wide and high."""
    scales = numpy_helper.from_array(np.array([1, 1, 600, 600], np.float32), "scales")
    nodes = [helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="nearest")]
    return model(nodes, [scales])


def functions() -> onnx.ModelProto:
    """Thirty functions, each of which calls the next one twice."""
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    made = []
    for level in range(30):
        kind, domain = (f"f{level + 1}", "own") if level < 29 else ("Relu", "")
        nodes = [
            helper.make_node(kind, ["a"], ["b"], domain=domain),
            helper.make_node(kind, ["b"], ["c"], domain=domain),
        ]
        made.append(helper.make_function("own", f"f{level}", ["a"], ["c"], nodes, opset))
    found = model([helper.make_node("f0", ["x"], ["y"], domain="own")], [])
    found.opset_import.append(helper.make_opsetid("own", 1))
    found.functions.extend(made)
    return found


def model(nodes: list[onnx.NodeProto], constants: list[TensorProto]) -> onnx.ModelProto:
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])
    logits = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "h", "w"])
    graph = helper.make_graph(nodes, "bomb", [picture], [logits], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def options_for(bomb: onnx.ModelProto, folder: Path) -> ForeignOptions:
    path, classes = folder / "bomb.onnx", folder / "classes.txt"
    path.write_bytes(bomb.SerializeToString())
    classes.write_text("road\ncar\nsky\n")
    return ForeignOptions(path, classes, (0,) * 3, (1,) * 3, memory=1 << 30, seconds=5)


@pytest.mark.slow
@pytest.mark.parametrize("bomb", [expand, resize, functions])
def test_a_file_that_asks_for_too_much_is_one_line(bomb: object, tmp_path: Path) -> None:
    assert callable(bomb)
    options = options_for(bomb(), tmp_path)
    with pytest.raises(BuildError, match=r"cannot be imported|cannot be run|not be allocated"):
        try_out(options, None, 1)


@pytest.mark.slow
def test_the_child_takes_no_more_memory_than_it_may(tmp_path: Path) -> None:
    options = options_for(expand(), tmp_path)
    # In a separate process, since the maximum over all children is reported.
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from pipeline.errors import BuildError\n"
        "from pipeline.graph.onnx_import.options import ForeignOptions\n"
        "from pipeline.graph.onnx_import.trial import try_out\n"
        "paths = map(Path, sys.argv[1:])\n"
        "options = ForeignOptions(*paths, (0,) * 3, (1,) * 3, memory=1 << 30, seconds=5)\n"
        "try:\n    try_out(options, None, 1)\n"
        "except BuildError:\n"
        "    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    command = [sys.executable, "-c", code, str(options.path), str(options.classes)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2 << 20  # KiB


@pytest.mark.slow
def test_ctrl_c_ends_the_build_and_its_child(tmp_path: Path) -> None:
    options = options_for(functions(), tmp_path)
    command = [sys.executable, "-m", "pipeline", "build", "--onnx", str(options.path)]
    command += ["--classes", str(options.classes), "--output", str(tmp_path / "out")]
    build = subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{build.pid}/task/{build.pid}/children")
    while not children.read_text().strip():
        time.sleep(0.05)
    child = int(children.read_text().split()[0])
    time.sleep(1)
    build.send_signal(signal.SIGINT)
    _, told = build.communicate(timeout=30)
    assert build.returncode == 130
    assert told.endswith("interrupted\n")
    assert not Path(f"/proc/{child}").exists()
