"""OpenVINO on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError
from pipeline.runtimes.cache import forget_the_oldest
from pipeline.runtimes.openvino.core import (
    AS_WRITTEN,
    executed_convolutions,
    open_for_cpu,
    ov,
    processor_name,
)
from pipeline.runtimes.openvino.frame_resize import FrameResize, resizes_outside
from pipeline.runtimes.session import Capabilities, ClassMaps, Frames, Session, TensorSpec, filled

#: Property of a compiled engine: how many frames it should get at once.
_REQUESTS = "OPTIMAL_NUMBER_OF_INFER_REQUESTS"


class OpenVINOSession(Session):
    """Runs an engine on the CPU; resizes frames itself and copies the result out.

    Args:
        engine: built by the OpenVINO compiler.
        threads: inference threads, 0 for OpenVINO's choice.
        hint: ``latency`` computes one frame at a time with all threads, ``throughput`` as many
            at once as OpenVINO finds best, each with fewer threads.
        cache: folder of compiled engines, for faster starts.
        as_written: compute an INT8 engine in FP32 with rounding where its file says so, instead of
            in the processor's INT8: slower, but the same on every processor.
    """

    def __init__(
        self,
        engine: Engine,
        threads: int = 0,
        hint: str = "latency",
        cache: Path | None = None,
        as_written: bool = False,
    ) -> None:
        manifest = engine.manifest
        settings = {"PERFORMANCE_HINT": hint.upper()} | (AS_WRITTEN if as_written else {})
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
            # Pinned, the threads of every process would share the first cores (docs/scale.md).
            settings["ENABLE_CPU_PINNING"] = "NO"
        self._model: ov.CompiledModel | None = open_for_cpu(engine, settings, cache)
        if cache is not None:
            forget_the_oldest(cache)
        count = 1 if hint == "latency" else self._model.get_property(_REQUESTS)
        self._requests = [self._model.create_infer_request() for _ in range(count)]
        self._size = (manifest.input.height, manifest.input.width)
        self._fewest, _, self._most = manifest.frames.batch_range
        #: Input buffers, one per request, since it reads them while it computes.
        self._inputs: list[Callable[[Frames], NDArray[Any]]] = [
            FrameResize(self._size, self._most) if resizes_outside(self._model) else _as_it_is
            for _ in range(count)
        ]
        at_once = count * self._most
        self.input_spec = TensorSpec("frames", "uint8", (at_once, None, None, 3), "NHWC, BGR")
        self.output_spec = TensorSpec("classes", "uint8", (at_once, *self._size), "NHW")
        layers = executed_convolutions(self._model).convolutions.values()
        self.capabilities = Capabilities(
            runtime="openvino",
            device=processor_name(),
            precision="+".join(sorted(set(layers))) or manifest.precision,
        )

    def _run(self, frames: Frames) -> ClassMaps:
        if self._model is None:
            raise EngineError("the session is closed; open the engine again")
        try:
            return self._computed(frames)
        except (RuntimeError, cv2.error) as error:
            height, width = frames.shape[1:3]
            raise EngineError(
                f"OpenVINO cannot segment frames of {width}x{height} "
                f"({str(error).strip().splitlines()[-1]}); give frames of another size"
            ) from error

    def _computed(self, frames: Frames) -> ClassMaps:
        maps = np.empty((len(frames), *self._size), np.uint8)
        parts = [slice(first, first + self._most) for first in range(0, len(frames), self._most)]
        for first in range(0, len(parts), len(self._requests)):
            under_way = list(zip(self._requests, parts[first:], strict=False))
            read = []  # keeps the inputs alive: requests read them in place
            for (request, part), given in zip(under_way, self._inputs, strict=False):
                read.append(given(filled(frames[part], self._fewest)))
                request.start_async({0: read[-1]}, share_inputs=True)
            for request, part in under_way:
                request.wait()
                maps[part] = request.get_output_tensor(0).data[: len(frames[part])]
        return maps

    def close(self) -> None:
        self._model = None
        self._requests = []
        self._inputs = []


def _as_it_is(frames: Frames) -> Frames:
    """For an engine that does not begin with a resize."""
    return frames
