"""The project's Python interface: what ``import roadseg`` gives to programs.

It uses only its own classes, strings and paths, so that sessions, sources and builds can change
without programs that use it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from models.classes import ClassSet
from models.errors import RoadsegError
from models.registry import MODELS
from pipeline.build.current import build_engine, engine_of, needs_torch
from pipeline.build.hooks import Hooks
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine, load_engine
from pipeline.errors import BuildError, EngineError
from pipeline.progress import Progress
from pipeline.runtimes.cache import cache_folder
from pipeline.runtimes.registry import open_session, require_builder
from pipeline.runtimes.session import Session
from pipeline.stream.frame import ClassMap, Frame, Image
from pipeline.stream.frame import Result as StreamResult
from pipeline.stream.overlay import Overlay, OverlayOptions, class_shares
from pipeline.stream.palettes import drawn_classes
from pipeline.stream.sources import SourceOptions, open_source

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pipeline.graph.onnx_import import ForeignOptions

__all__ = ["BuildArguments", "Network", "Result", "RoadsegError", "build", "load", "stream"]

log = logging.getLogger(__name__)

PathOrText = str | os.PathLike[str]


class Network(AbstractContextManager["Network"]):
    """A loaded engine. Use as a context manager; call it from one thread at a time.

    Attributes:
        classes: names and palette of the class maps.
        path: the engine's file.
        precision: what it was built in: ``int8``, ``fp16``, ``bf16`` or ``fp32``.
        size: width and height that the network works on, in pixels.
    """

    def __init__(self, engine: Engine, session: Session) -> None:
        manifest = engine.manifest
        self.classes: ClassSet = manifest.classes
        self.path: Path = engine.path
        self.precision: str = manifest.precision
        self.size: tuple[int, int] = (manifest.input.width, manifest.input.height)
        self._name = manifest.model
        self._session = session

    def __call__(self, frame: Image) -> Result:
        """Segment one frame.

        Args:
            frame: (H, W, 3) uint8, BGR, as OpenCV gives it; of any size.

        Raises:
            RoadsegError: an array of another kind, or the network was closed.
        """
        frame = np.asarray(frame)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
            raise EngineError(
                f"the frame is an array of {frame.dtype} {frame.shape}, expected uint8 of shape "
                "(height, width, 3), blue, green, red, as cv2.imread gives it"
            )
        return Result(frame, self._session.run(frame[None])[0], self.classes)

    def __repr__(self) -> str:
        width, height = self.size
        return f"<{self._name} {self.precision.upper()} {width}x{height}, {self.path}>"

    def close(self) -> None:
        """Release the engine; calling it again does nothing."""
        self._session.close()

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, eq=False)
class Result:
    """A segmented frame.

    Attributes:
        frame: (H, W, 3) uint8 BGR.
        class_map: (h, w) uint8 class indices, at the network's own size.
        class_set: names and palette of the indices.
        index: of the frame in its source, from 0.
        name: of the frame in its source, such as a picture's file name.
    """

    frame: Image
    class_map: ClassMap
    class_set: ClassSet
    index: int = 0
    name: str = ""

    @cached_property
    def classes(self) -> ClassMap:
        """Class indices at the frame's size, (H, W) uint8."""
        found = Frame(self.frame, self.index, 0.0, self.name)
        return StreamResult(found, self.class_map, 0.0).classes_at_frame_size()

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of the picture per class name, 0..1."""
        names = self.class_set.names
        shares = class_shares(self.class_map, len(names)).tolist()
        return dict(zip(names, shares, strict=True))

    def mask(self, name: str) -> ClassMap:
        """Where the class ``name`` is: (H, W) uint8, 255 there and 0 elsewhere, for OpenCV.

        Raises:
            RoadsegError: there is no such class.
        """
        if name not in self.class_set.names:
            raise EngineError(
                f"there is no class {name!r}; the network knows {', '.join(self.class_set.names)}"
            )
        found = self.classes == self.class_set.names.index(name)
        return np.asarray(found, np.uint8) * np.uint8(255)

    def overlay(
        self, opacity: float = 0.5, legend: bool = False, palette: str | None = None
    ) -> Image:
        """Draw the classes over the frame.

        Args:
            opacity: of the class colours, 0..1.
            legend: draw names and shares, where the frame is large enough.
            palette: one of ``pipeline.stream.palettes``, such as ``camvid``; None for ``clear``
                with CamVid's classes, and for a class set's own colours with others.

        Returns:
            A new (H, W, 3) uint8 BGR picture.

        Raises:
            RoadsegError: there is no such palette, or it has no colour for a class.
        """
        options = OverlayOptions(opacity=opacity, legend=legend, fine_edges=True)
        shares = class_shares(self.class_map, len(self.class_set))
        drawn = drawn_classes(self.class_set, palette)
        return Overlay(drawn, options).draw(self.frame, self.class_map, shares, "")


def load(
    network: PathOrText, precision: str | None = None, progress: Progress | None = None
) -> Network:
    """Load an engine, given by its path or by the name of its network.

    Args:
        network: path of an engine; or name of a registered network, whose engine is built unless
            there is a current one.
        precision: of a network's engine; None for the fastest one whose accuracy is known.
        progress: called during a build with the step and the share that is done.

    Raises:
        RoadsegError: no such network or engine, or it cannot be built or run here.
    """
    if str(network) in MODELS or _looks_like_a_name(str(network)):
        engine = engine_of(str(network), precision, _hooks(progress))
    else:
        engine = load_engine(Path(network))
    return Network(engine, open_session(engine, cache=cache_folder()))


def stream(
    network: Network, source: PathOrText | int, frames: int | None = None, realtime: bool = False
) -> Iterator[Result]:
    """Segment a source frame by frame.

    With a camera, each result is of the newest frame; of a file no frame is left out.

    Args:
        network: that was loaded.
        source: as on the command line: video, picture, folder, camera number, URL, ``synthetic``.
        frames: number of frames to stop after; None for the whole source.
        realtime: play a file at its own rate, as if it were a camera.

    Raises:
        RoadsegError: the source cannot be read.
    """
    with open_source(
        os.fspath(source) if not isinstance(source, int) else str(source),
        SourceOptions(realtime=realtime),
    ) as opened:
        done = 0
        while frames is None or done < frames:
            frame = opened.read()
            if frame is None:
                break
            yield replace(network(frame.image), index=frame.index, name=frame.name)
            done += 1
        for problem in opened.problems:
            log.warning("%s", problem)


class BuildArguments(TypedDict, total=False):
    """Keyword arguments of :func:`build`, all optional, with the meaning of ``build --help``.

    ``classes`` is the class file of an ONNX file, and only for one; ``max_miou_drop`` is a share,
    0..1; ``size`` is (width, height).
    """

    classes: PathOrText
    precision: str | None
    runtime: str
    size: tuple[int, int] | None
    weights: PathOrText | None
    calibration: PathOrText | None
    data: PathOrText | None
    max_miou_drop: float | None
    targets: tuple[str, ...]
    output: PathOrText
    force: bool
    progress: Progress | None


def build(network: PathOrText, **options: Unpack[BuildArguments]) -> Path:
    """Build an engine and its manifest; return the engine's path.

    Args:
        network: name of a registered network, or an ONNX file with a network of another project.
        options: see :class:`BuildArguments`.

    Raises:
        RoadsegError: anything a user can cause; no file is left half-written then.
        TypeError: an option that does not exist.
    """
    given: dict[str, Any] = dict(options)
    progress = given.pop("progress", None)
    known = BuildArguments.__annotations__.keys()
    if unknown := given.keys() - known:
        raise TypeError(f"build() has no option {sorted(unknown)[0]!r}; it has {', '.join(known)}")
    for name in ("calibration", "data", "output"):
        if given.get(name) is not None:
            given[name] = Path(given[name])
    if given.get("weights") is not None:
        given["weights"] = str(given["weights"])
    model = str(network)
    if model.endswith(".onnx"):
        given["foreign"] = _foreign(Path(network), given.pop("classes", None))
        model = ""
    elif "classes" in given:
        raise BuildError(
            f"classes were given for {model}, which has those of its weights; drop them"
        )
    asked = BuildOptions(model, **given)
    require_builder(asked.runtime)
    return build_engine(asked, _hooks(progress)).path


def _foreign(path: Path, classes: PathOrText | None) -> ForeignOptions:
    if classes is None:
        raise BuildError(
            f"{path} was given without classes; pass classes=FILE with a line per output channel"
        )
    try:
        from pipeline.graph.onnx_import import ForeignOptions
    except ModuleNotFoundError as error:
        raise needs_torch(error) from error
    return ForeignOptions(path, Path(classes))


def _looks_like_a_name(text: str) -> bool:
    path = Path(text)
    return not path.suffix and path.name == text and not path.exists()


def _hooks(progress: Progress | None) -> Hooks:
    told: Progress = progress or (lambda what, share: log.info("%s, %.0f %%", what, 100 * share))
    return Hooks(lambda line: log.info("%s", line), lambda: nullcontext(told))
