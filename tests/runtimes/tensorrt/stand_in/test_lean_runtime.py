"""The lean runtime of TensorRT 11.4: its contents, and how its start fails."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rigs import require_stand_in
from tensorrt_double import TensorRTDouble, _Config, _Context, _Loaded, _Runtime

require_stand_in()

_ROOT = Path(__file__).parents[4]
_NAMES = json.loads((_ROOT / "tests/data/tensorrt_names.json").read_text(encoding="utf-8"))
#: First words of names that only TensorRT's builder has.
_BUILDS = re.compile(
    r"Builder|IBuilder|INetwork|OnnxParser|LayerType|ActivationType|NetworkDefinitionCreationFlag"
    r"|ILayer|I(Cast|Constant|Convolution|Dequantize|Quantize)Layer"
)


@pytest.fixture(scope="module")
def trt() -> Any:
    import tensorrt_lean_bindings  # check_pycuda.sh installs it, too

    return tensorrt_lean_bindings


def test_it_has_every_name_that_running_an_engine_needs(trt: Any) -> None:
    def has(name: str) -> bool:
        found = trt
        for word in name.split("."):
            found = getattr(found, word, None)
        return found is not None

    missing = {name for name in _NAMES["shared"]["names"] if not has(name)}
    assert {name for name in missing if not _BUILDS.match(name)} == set()
    assert "Runtime.deserialize_cuda_engine" not in missing


@pytest.mark.parametrize(
    ("kind", "double", "method"),
    [
        ("Runtime", _Runtime, "deserialize_cuda_engine"),
        ("ICudaEngine", _Loaded, "get_tensor_name"),
        ("ICudaEngine", _Loaded, "get_tensor_mode"),
        ("ICudaEngine", _Loaded, "get_tensor_dtype"),
        ("ICudaEngine", _Loaded, "get_tensor_shape"),
        ("IExecutionContext", _Context, "set_input_shape"),
        ("IExecutionContext", _Context, "set_tensor_address"),
        ("IExecutionContext", _Context, "execute_async_v3"),
    ],
)
def test_the_double_takes_what_tensorrt_takes(
    trt: Any, kind: str, double: type[object], method: str
) -> None:
    text = getattr(getattr(trt, kind), method).__doc__
    forms = re.findall(rf"{method}\(self: [\w.]+,? ?([^)]*)\)", text)
    known = [re.findall(r"(\w+): ", form) for form in forms]
    assert list(inspect.signature(getattr(double, method)).parameters)[1:] in known


def test_the_double_has_no_method_that_tensorrt_has_not(trt: Any) -> None:
    pairs = {
        trt.Runtime: _Runtime,
        trt.ICudaEngine: _Loaded,
        trt.IExecutionContext: _Context,
        trt.IRuntimeConfig: _Config,
        trt: TensorRTDouble,
    }
    only_rtx = {name.rpartition(".")[2] for name in _NAMES["only TensorRT for RTX"]["names"]}
    only_rtx |= {name.partition(".")[0] for name in _NAMES["only TensorRT for RTX"]["names"]}
    for real, double in pairs.items():
        public = {name for name in vars(double) if not name.startswith("_")}
        assert {name for name in public - only_rtx if not hasattr(real, name)} == set()


_START = """
import sys
import tensorrt_lean_bindings as trt
from pipeline.engine.compatibility import GpuInfo
from pipeline.errors import RuntimeMissingError
from pipeline.runtimes.tensorrt.log import collecting_logger
from pipeline.runtimes.tensorrt.start import start_runtime
try:
    start_runtime(trt, collecting_logger(trt), GpuInfo("a GPU", "sm89", (12, 0)))
except RuntimeMissingError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"LD_LIBRARY_PATH": ""}, "error: 35"),
        ({"STAND_IN_VERSION": "12000"}, "error: 35"),
        ({}, "error: 500"),
    ],
    ids=["no driver", "an old driver", "a driver that is none"],
)
def test_where_it_does_not_start_one_line_says_so_and_the_process_ends_well(
    trt: Any, change: dict[str, str], reason: str
) -> None:
    """It returns an invalid object: using it or freeing it ends the process."""
    done = subprocess.run(
        [sys.executable, "-c", _START],
        env={**os.environ, **change},
        cwd=_ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert f"TensorRT {trt.__version__} does not start here" in done.stdout
    assert reason in done.stdout
    assert "update it" in done.stdout


def test_garbage_given_to_a_runtime_that_did_not_start_would_end_the_process(trt: Any) -> None:
    """This is the reason for checking the log before the object is used."""
    code = _START.partition("try:")[0] + (
        "logger = collecting_logger(trt)\n"
        "runtime = trt.Runtime(logger)\n"
        "print('made')\n"
        "sys.stdout.flush()\n"
        "runtime.deserialize_cuda_engine(b'garbage' * 100)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True)
    assert done.stdout == "made\n"
    assert done.returncode < 0
