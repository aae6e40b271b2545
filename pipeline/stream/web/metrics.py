"""Metrics of all cameras for Prometheus, made at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from pipeline.stream.web.camera import Camera

_QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}

#: ``Camera.describe()``.
_Described = dict[str, Any]
#: Further labels of a sample, and its value.
_Samples = Iterable[tuple[tuple[str, ...], float]]


def _value(key: str) -> Callable[[_Described], _Samples]:
    return lambda one: [((), one[key])]


def _of_sinks(key: str) -> Callable[[_Described], _Samples]:
    return lambda one: [((sink["name"],), sink[key]) for sink in one["sinks"]]


def _seconds(summary: Mapping[str, float | None], *labels: str) -> _Samples:
    for name, quantile in _QUANTILES.items():
        if (ms := summary.get(name)) is not None:
            yield (*labels, quantile), ms / 1e3


def _stages(one: _Described) -> _Samples:
    for stage, summary in one["stages_ms"].items():
        yield from _seconds(summary, stage)


#: Name, help, further labels, samples of a camera.
_COUNTERS: tuple[tuple[str, str, tuple[str, ...], Callable[[_Described], _Samples]], ...] = (
    ("roadseg_frames_read", "Frames captured", (), _value("read")),
    ("roadseg_frames_shown", "Frames that at least one sink took", (), _value("shown")),
    ("roadseg_frames_dropped", "Frames that no sink took", (), _value("dropped")),
    ("roadseg_source_reconnects", "Times that a lost source came back", (), _value("reconnects")),
    ("roadseg_source_lost_seconds", "Seconds without a source", (), _value("lost_seconds")),
    ("roadseg_page_frames_sent", "Pictures sent to viewers of the page", (), _value("sent")),
    (
        "roadseg_page_frames_dropped",
        "Pictures that viewers were too slow for",
        (),
        _value("viewer_drops"),
    ),
    ("roadseg_sink_written", "Frames that a sink took", ("sink",), _of_sinks("written")),
    (
        "roadseg_sink_dropped",
        "Frames that a sink was too slow for",
        ("sink",),
        _of_sinks("dropped"),
    ),
)
_GAUGES: tuple[tuple[str, str, tuple[str, ...], Callable[[_Described], _Samples]], ...] = (
    ("roadseg_page_viewers", "Viewers at present", (), _value("viewers")),
    ("roadseg_frame_rate", "Shown frames per second", (), lambda one: [((), one["fps"] or 0.0)]),
    (
        "roadseg_source_up",
        "1 while frames come",
        (),
        lambda one: [((), float(one["state"] == "live"))],
    ),
    (
        "roadseg_frame_age_seconds",
        "Capture to shown, over the last frames",
        ("quantile",),
        lambda one: _seconds(one["frame_age_ms"]),
    ),
    (
        "roadseg_result_age_seconds",
        "Capture to class map, over the last frames",
        ("quantile",),
        lambda one: _seconds(one["result_age_ms"]),
    ),
    ("roadseg_stage_seconds", "Time of a stage", ("stage", "quantile"), _stages),
    (
        "roadseg_class_share",
        "Share of the last picture, 0 to 1",
        ("class",),
        lambda one: [((name,), share) for name, share in one["shares"].items()],
    ),
    (
        "roadseg_sink_failed",
        "1 when a sink takes no more",
        ("sink",),
        lambda one: [((sink["name"],), float(sink["failed"] is not None)) for sink in one["sinks"]],
    ),
)


class Metrics(Collector):
    """The metrics of one server, in its own registry."""

    def __init__(self, cameras: Callable[[], Sequence[Camera]]) -> None:
        self._cameras = cameras
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def exposed(self, accept: str) -> tuple[bytes, str]:
        """Return body and content type for a scraper's ``Accept`` header."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, with a sample or more for each camera."""
        known = [camera.describe() for camera in self._cameras()]
        for kind, table in ((CounterMetricFamily, _COUNTERS), (GaugeMetricFamily, _GAUGES)):
            for name, text, labels, samples in table:
                family = kind(name, text, labels=("camera", "source", *labels))
                for one in known:
                    for more, value in samples(one):
                        family.add_metric([str(one["number"]), one["source"], *more], value)
                yield family
