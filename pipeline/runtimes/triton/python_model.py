"""What Triton's Python backend runs: an OpenVINO engine, in the server's own Python.

``export-triton --backend python`` copies this file as ``model.py``; it does not import roadseg. The
server's environment needs ``openvino`` and ``numpy``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One of the instances in ``instance_group``, which compute in parallel."""

    def initialize(self, args: dict[str, str]) -> None:
        """Compile the engine beside this file, with the settings of its export."""
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        settings = json.loads(config["parameters"]["openvino_settings"]["string_value"])
        core = ov.Core()
        core.set_property({"ENABLE_MMAP": "NO"})
        model = core.compile_model(folder / "model.xml", "CPU", settings)
        self._request = model.create_infer_request()
        self._frames = config["input"][0]["name"]
        self._classes = config["output"][0]["name"]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer requests, each with its class maps or its own error."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        frames = pb_utils.get_input_tensor_by_name(request, self._frames).as_numpy()
        try:
            self._request.infer({0: np.ascontiguousarray(frames)}, share_inputs=True)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            return pb_utils.InferenceResponse([], pb_utils.TritonError(reason))
        maps = np.array(self._request.get_output_tensor(0).data, np.uint8)
        return pb_utils.InferenceResponse([pb_utils.Tensor(self._classes, maps)])

    def finalize(self) -> None:
        """Release the engine."""
        del self._request
