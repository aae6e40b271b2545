"""From a network to a quantised graph that passed the accuracy gate, and its figures."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.errors import DataError
from calibration.frames import CalibrationFrames
from calibration.quantizer.placement import Placement
from calibration.records import Judged
from calibration.table import CalibrationTable
from pipeline.evaluation.compare import Comparison, Picture, compare_sessions
from pipeline.evaluation.pictures import has_labels, open_pictures, spread
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.qdq import QDQGraph
from pipeline.progress import Progress
from pipeline.quantization.accuracy_gate import Attempt, search
from pipeline.quantization.calibrate import EVALUATED_FRAMES, Target
from pipeline.quantization.options import Int8Options
from pipeline.quantization.sensitivity import Sensitivity, rank_layers
from pipeline.quantization.tables import classifiers_without_range, open_table
from pipeline.runtimes.compile import assemble
from pipeline.runtimes.compiler import EngineForm, Job
from pipeline.runtimes.openvino.instructions import cores
from pipeline.runtimes.registry import open_compiler, session_class
from pipeline.runtimes.session import Session
from pipeline.stream.frame import Frame, Image

log = logging.getLogger(__name__)

#: Runtime on which INT8 is judged for all runtimes, since it runs everywhere. Graphs for other
#: runtimes are computed as written, in FP32 between Q and DQ: OpenVINO's INT8 is made for unsigned
#: bytes, and wrong for signed ones on some processors (decision 006).
EVALUATION_RUNTIME = "openvino"
#: Calibration frames on which agreement is measured where there is no ``--data``.
EVALUATED_OF_CALIBRATION = 32
#: Frames with the largest disagreement that the report shows.
KEPT_FRAMES = 5


@dataclass(frozen=True)
class Prepared:
    """A quantised graph that passed.

    Attributes:
        graph: to be built.
        table: its ranges, method and layers in high precision.
        attempts: of the accuracy gate, the accepted one last; empty where there were no frames.
        sensitivity: of layers, most sensitive first; empty where the gate did not need it.
        warnings: what the user should know.
    """

    graph: QDQGraph
    table: CalibrationTable
    attempts: tuple[Attempt, ...]
    sensitivity: tuple[Sensitivity, ...]
    warnings: tuple[str, ...]

    @property
    def comparison(self) -> Comparison | None:
        """FP32 against the accepted attempt."""
        return self.attempts[-1].comparison if self.attempts else None


def prepare(
    target: Target, options: Int8Options, unsigned: bool, folder: Path, progress: Progress
) -> Prepared:
    """Find ranges for ``target``, and with them layers in high precision, that hold the budget.

    ``unsigned`` is ``Compiler.unsigned`` of the compiler that builds the graph; the accuracy gate
    builds its engines in ``folder``.

    Raises:
        CalibrationError: there are no ranges.
        DataError: mIoU is asked for and the pictures have no labels.
        AccuracyError: the budget cannot be held.
    """
    data = options.data
    if options.max_miou_drop is not None and not (data and has_labels(data)):
        raise DataError(
            "--max-miou-drop needs labelled pictures to measure mIoU on, "
            f"{data or 'no --data'} was given; pass --data with a folder that holds "
            "images/ and labels/"
        )
    table, frames = open_table(target, options.calibration, progress)
    target = replace(target, kept={**classifiers_without_range(table, target), **target.kept})
    judged = _EvaluationFrames(target, data, frames)
    warnings = frames.warnings if frames is not None else ()
    attempts: list[Attempt] = []
    ranked: list[Sensitivity] = []
    if judged.available:

        def rank(best: CalibrationTable) -> list[Sensitivity]:
            ranked.extend(rank_layers(target, best, judged.sample(), progress))
            return ranked

        with _Evaluator(target, unsigned, folder, judged, progress) as evaluator:
            attempts = search(table, evaluator, options.budget, rank)
        table = _with_evaluation(attempts[-1], evaluator.device)
    elif target.weights.sha256 is None or "judged" not in table.measured:
        warnings += (
            "accuracy was not measured: the weights are random, or neither --data nor pictures to "
            "calibrate with were given; the manifest has the table's own figures, if any, under "
            "'calibration'",
        )
    graph = target.quantised(table, unsigned)
    if (mostly := _mostly_not_int8(graph.placement)) is not None:
        log.warning("%s", mostly)
        warnings += (mostly,)
    return Prepared(graph, table, tuple(attempts), tuple(ranked), warnings)


def _mostly_not_int8(placement: Placement) -> str | None:
    """Return a warning where most convolutions stay in floating point."""
    kept = [one.reason for one in placement.convolutions if not one.int8]
    if 2 * len(kept) <= len(placement.convolutions):
        return None
    [(reason, count)] = Counter(kept).most_common(1)
    return (
        f"only {len(placement.int8)} of {len(placement.convolutions)} convolutions can run in "
        f"INT8; {count} do not because of this: {reason}"
    )


def _with_evaluation(accepted: Attempt, device: str) -> CalibrationTable:
    """Write the figures of INT8 into its table, for later builds that have no frames."""
    comparison, table = accepted.comparison, accepted.table
    judged = Judged(frames=comparison.frames, pixel_agreement=comparison.pixel_agreement)
    if comparison.scores is not None:
        judged["miou_fp32"], judged["miou"] = (score.miou for score in comparison.scores)
    if comparison.speed is not None:
        judged["speedup"] = round(comparison.speed.speedup, 2)
        judged["processor"] = device
    return replace(table, measured={**table.measured, "judged": judged})


class _EvaluationFrames:
    """The frames on which FP32 and INT8 are compared; they can be iterated several times."""

    def __init__(self, target: Target, data: Path | None, frames: CalibrationFrames | None) -> None:
        self._classes = target.spec.classes
        self._data = data
        self._frames = frames
        # Random weights have no accuracy to lose.
        trained = target.weights.sha256 is not None
        self.available = trained and (data is not None or frames is not None)

    def __iter__(self) -> Iterator[Picture]:
        if self._data is not None:
            return iter(open_pictures(self._data, self._classes).pictures)
        return self._of_calibration(EVALUATED_OF_CALIBRATION)

    def sample(self) -> list[Image]:
        """Return a few of the frames, for the many runs of the sensitivity analysis."""
        pictures: Iterable[Picture] = self._of_calibration(EVALUATED_FRAMES)
        if self._data is not None:
            pictures = open_pictures(self._data, self._classes, EVALUATED_FRAMES).pictures
        return [picture.image for picture in pictures]

    def _of_calibration(self, count: int) -> Iterator[Picture]:
        assert self._frames is not None
        wanted = set(spread(range(len(self._frames)), count))
        for index, image in enumerate(self._frames):
            if index in wanted:
                yield Frame(image, index, 0.0, self._frames.names[index])


class _Evaluator:
    """Builds INT8 engines of the evaluation runtime, and compares each with the FP32 engine.

    Graphs for other runtimes are computed as written, and not timed.
    """

    def __init__(
        self,
        target: Target,
        unsigned: bool,
        folder: Path,
        frames: _EvaluationFrames,
        progress: Progress,
    ) -> None:
        self._target = target
        self._unsigned = unsigned
        self._folder = folder
        self._frames = frames
        self._progress = progress
        self._count = 0

    def __enter__(self) -> _Evaluator:
        self._compiler = open_compiler(EVALUATION_RUNTIME)
        self._is_built = self._unsigned == self._compiler.unsigned
        self._truth = self._open(self._target.exported.graph, "fp32")
        return self

    @property
    def device(self) -> str:
        """The processor and its number of cores."""
        return f"{self._truth.capabilities.device}, {cores()} cores"

    def __exit__(self, *_: object) -> None:
        self._truth.close()

    def __call__(self, table: CalibrationTable) -> Comparison:
        self._count += 1
        kept = len(table.high_precision)
        what = f"judging {table.method}" + (f", {kept} layers kept" if kept else "")
        self._progress(what, 0.0)
        graph = self._target.quantised(table, self._unsigned)
        with self._open(graph, "int8") as session:
            self._progress(what, 0.5)
            return compare_sessions(
                self._truth,
                session,
                self._frames,
                self._target.spec.classes,
                measure=self._is_built,
                keep=KEPT_FRAMES,
            )

    def _open(self, graph: DeploymentGraph | QDQGraph, precision: str) -> Session:
        name = f"judged-{precision}-{self._count}"
        int8 = graph.placement.int8 if isinstance(graph, QDQGraph) else ()
        job = Job(graph, name, precision, EngineForm(), self._folder, int8)
        spec, weights = self._target.spec, self._target.weights
        engine = assemble(job, self._compiler, spec, weights, self._progress)
        return session_class(EVALUATION_RUNTIME)(engine, as_written=not self._is_built)
