"""The configuration of a served model, ``config.pbtxt``: fields as data, and their text form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.engine.manifest import Manifest
from pipeline.runtimes.compiler import INPUT, OUTPUT

#: Key of our manifest in the configuration; the session reads classes and sizes from it.
MANIFEST = "roadseg_manifest"
#: Longest time that the first frame of a batch waits for others, in microseconds.
_BATCH_DELAY = 1000


@dataclass(frozen=True)
class Symbol:
    """A value of an enumeration, which is written without quotes."""

    name: str


@dataclass(frozen=True)
class Serving:
    """How a model is served.

    Attributes:
        name: of the model on the server.
        backend: ``tensorrt``, ``openvino`` or ``python``.
        instances: copies that compute in parallel, on each GPU or on the processor.
        settings: of OpenVINO, for the Python backend.
    """

    name: str
    backend: str
    instances: int = 1
    settings: Mapping[str, str] | None = None


def model_config(manifest: Manifest, serving: Serving) -> dict[str, Any]:
    """Return the fields of ``ModelConfig`` for an engine, without the batch, which is Triton's.

    Height and width of frames are free, as in the engine.
    """
    most = manifest.frames.batch_range[2]
    files = {"tensorrt": "model.plan", "openvino": "model.xml", "python": "model.py"}
    kind = Symbol("KIND_GPU" if serving.backend == "tensorrt" else "KIND_CPU")
    config: dict[str, Any] = {
        "name": serving.name,
        "backend": serving.backend,
        "default_model_filename": files[serving.backend],
        "max_batch_size": most,
        "version_policy": {"latest": {"num_versions": 1}},
        "input": [{"name": INPUT, "data_type": Symbol("TYPE_UINT8"), "dims": [-1, -1, 3]}],
        "output": [
            {
                "name": OUTPUT,
                "data_type": Symbol("TYPE_UINT8"),
                "dims": [manifest.input.height, manifest.input.width],
            }
        ],
        "instance_group": [{"count": serving.instances, "kind": kind}],
    }
    if most > 1:
        config["dynamic_batching"] = {"max_queue_delay_microseconds": _BATCH_DELAY}
    config["model_warmup"] = [_warm_up(manifest)]
    config["parameters"] = [_parameter(MANIFEST, json.dumps(_slim(manifest)))]
    if serving.settings is not None:
        config["parameters"].append(_parameter("openvino_settings", json.dumps(serving.settings)))
    return config


def _warm_up(manifest: Manifest) -> dict[str, Any]:
    """One frame of the usual size, so that the first camera does not wait."""
    sizes = manifest.frames.sizes
    width, height = sizes[1] if sizes else (manifest.input.width, manifest.input.height)
    frame = {"data_type": Symbol("TYPE_UINT8"), "dims": [height, width, 3], "zero_data": True}
    return {
        "name": "one frame",
        "batch_size": 1,
        "inputs": [{"key": INPUT, "value": frame}],
    }


def _parameter(key: str, text: str) -> dict[str, Any]:
    return {"key": key, "value": {"string_value": text}}


def _slim(manifest: Manifest) -> dict[str, Any]:
    """The manifest without its layers, of which there may be thousands."""
    document = manifest.to_json()
    document["layers"]["convolutions"] = {}
    return document


def to_text(fields: Mapping[str, Any], indent: str = "") -> str:
    """Write fields in protobuf's text form."""
    lines: list[str] = []
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                lines += [f"{indent}{name} {{", to_text(one, f"{indent}  "), f"{indent}}}"]
            else:
                lines.append(f"{indent}{name}: {_scalar(one)}")
    return "\n".join(lines)


def _scalar(value: object) -> str:
    if isinstance(value, Symbol):
        return value.name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    return str(value)


def _quoted(text: str) -> str:
    """Quote a text, with bytes beyond ASCII in octal, as protobuf does."""
    escapes = {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n"}
    written = (
        escapes.get(byte, chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
        for byte in text.encode()
    )
    return f'"{"".join(written)}"'
