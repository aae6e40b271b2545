"""Classes inside zones of the picture: lines of JSON, marks on the picture, alerts to a webhook."""

from __future__ import annotations

import json
import threading
from collections import deque
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pipeline.errors import SinkError
from pipeline.stream.frame import Mark, Result
from pipeline.stream.growing_file import GrowingFile
from pipeline.stream.sinks.base import MediaTime, Sink, SinkOptions
from pipeline.stream.sinks.file_sink import FileSink
from pipeline.stream.sinks.output_file import MARK, partial_of
from pipeline.stream.webhook import Webhook
from pipeline.stream.zone_watch import Measurement, ZoneWatch
from pipeline.stream.zones import Zone, ZoneFile, read_zones

_PREFIX = "zones:"
_VERSION = 1
#: Seconds that closing waits for alerts still to be sent.
_PATIENCE = 3.0


def matches(text: str) -> bool:
    """``zones:FILE.yaml``."""
    return text.startswith(_PREFIX)


def numbered(text: str, number: int) -> str:
    """Name of the sink for one of several sources: ``zones:FILE.yaml#2``."""
    return f"{text}#{number}"


def written(text: str) -> list[Path]:
    """Return the file of lines, and its name while it is written.

    Raises:
        SinkError: the file of zones cannot be read.
    """
    path, number = _parts(text)
    lines = _lines_of(read_zones(path), number)
    return [] if lines is None else [lines, partial_of(lines)]


def open_zones(text: str, options: SinkOptions) -> Sink:
    """Open the zones of a file that belong to a source.

    Raises:
        SinkError: the file cannot be read, or has an unknown class or no zone for the source.
        OutputError: the lines cannot be written.
    """
    path, number = _parts(text)
    described = read_zones(path)
    lines = _lines_of(described, number)
    if lines is not None and lines.exists() and path.exists() and lines.samefile(path):
        raise SinkError(f"{path}: lines would replace this file itself; give another name")
    own = {options.source, Path(options.source).name, str(number or 1)}
    zones = [zone for zone in described.zones if zone.source is None or zone.source in own]
    if not zones and number is None:
        raise SinkError(
            f"{path} has only zones of {described.zones[0].source}, but the source is "
            f"{options.source}; leave 'source' out, or give its name or number"
        )
    return ZoneSink(described, zones, lines, options)


def _parts(text: str) -> tuple[Path, int | None]:
    """Path of the file, and number of the source if there are several."""
    name, mark, number = text.removeprefix(_PREFIX).rpartition("#")
    if mark and number.isdigit():
        return Path(name).expanduser(), int(number)
    return Path(text.removeprefix(_PREFIX)).expanduser(), None


def _lines_of(described: ZoneFile, number: int | None) -> Path | None:
    lines = described.lines
    if lines is None or number is None:
        return lines
    return lines.with_name(f"{lines.stem}-{number}{lines.suffix}")


class ZoneSink(FileSink):
    """Measures zones in every frame, and raises an alert when a threshold is met for long enough.

    Lines, if the file asks for them: a header (``format``, ``version``, ``comment``, ``source``,
    ``zones``) and one object per written frame: ``index``, ``name``, ``seconds`` (in the source's
    own time), ``zones`` (name -> ``shares`` per class and ``share`` of all, 0..1 of the zone;
    ``area`` in pixels of the picture; ``alert``) and ``events`` (alerts that began or ended since
    the last line, also in dropped frames). The webhook gets each event.

    Args:
        described: webhook and headers.
        zones: of this source.
        lines: file of lines; None for none.
        options: classes and source.
    """

    observes = True

    def __init__(
        self, described: ZoneFile, zones: list[Zone], lines: Path | None, options: SinkOptions
    ) -> None:
        # Before the file is made: an unknown class must not leave one behind.
        self._watches = [ZoneWatch(zone, options.classes) for zone in zones]
        super().__init__("zones", lines, options.force)
        self._source = options.source
        self._time = MediaTime(options.fps, options.live)
        self._events: deque[dict[str, Any]] = deque()
        self._measured: dict[int, tuple[float, list[Measurement]]] = {}
        self._seen = threading.Lock()
        self._file = None if self._target is None else GrowingFile(self._target.partial)
        self._webhook: Webhook | None = None
        if described.webhook is not None:
            self._webhook = Webhook(described.webhook, described.headers)
            self.problems = self._webhook.problems

    def observe(self, result: Result) -> tuple[Mark, ...]:
        """Measure a frame, send its alerts, and return its marks."""
        if self._closed or self._abandoned:
            return ()
        seconds = self._time.seconds(result.frame)
        measured = [watch.measure(result, seconds) for watch in self._watches]
        pairs = list(zip(self._watches, measured, strict=True))
        for watch, one in pairs:
            if one.event is not None:
                self._announce(watch.zone, one, result.frame.index, seconds)
        if self._file is not None:
            with self._seen:
                self._measured[result.frame.index] = (seconds, measured)
        return tuple(watch.mark(one) for watch, one in pairs)

    def _announce(self, zone: Zone, measured: Measurement, index: int, seconds: float) -> None:
        event = {
            "event": measured.event,
            "zone": zone.name,
            "index": index,
            "seconds": round(seconds, 4),
            "share": round(measured.share, 5),
            "area": round(measured.area),
        }
        self._events.append(event)
        threshold = zone.threshold
        if self._webhook is not None and threshold is not None:
            self._webhook.post(
                {
                    "format": "roadseg-alert",
                    "version": _VERSION,
                    **event,
                    "source": self._source,
                    "classes": list(zone.classes),
                    "above" if threshold.above else "below": threshold.text,
                    "held_seconds": round(measured.held, 3),
                    "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                }
            )

    def _write(self, result: Result) -> None:
        if self._file is None:
            return
        if result.frame.index not in self._measured:  # written outside of a stream
            self.observe(result)
        with self._seen:
            seconds, measured = self._measured.pop(result.frame.index)
            for index in [one for one in self._measured if one < result.frame.index]:
                del self._measured[index]  # of dropped frames
        events = []
        while self._events and self._events[0]["index"] <= result.frame.index:
            events.append(self._events.popleft())
        line = json.dumps(
            {
                "index": result.frame.index,
                "name": result.frame.name,
                "seconds": round(seconds, 4),
                "zones": {one.zone: _described(one) for one in measured},
                "events": events,
            }
        )
        self._file.append(f"{'' if self.written else self._header()}{line}\n")

    def _header(self) -> str:
        zones = [
            {"name": one.zone.name, "polygon": one.zone.polygon, "classes": one.zone.classes}
            for one in self._watches
        ]
        header = {
            "format": "roadseg-zones",
            "version": _VERSION,
            "comment": MARK,
            "source": self._source,
            "zones": zones,
        }
        return f"{json.dumps(header)}\n"

    def close(self) -> None:
        """Finish the lines, and send the alerts that still wait."""
        try:
            super().close()
        finally:
            if self._webhook is not None:
                self._webhook.close(_PATIENCE)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()


def _described(measured: Measurement) -> dict[str, Any]:
    return {
        "shares": {name: round(share, 5) for name, share in measured.shares.items()},
        "share": round(measured.share, 5),
        "area": round(measured.area),
        "alert": measured.alert,
    }
