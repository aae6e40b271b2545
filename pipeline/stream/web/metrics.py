"""Numbers of all cameras in the form that Prometheus reads, made when it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from pipeline.stream.web.camera import Camera

#: name, help, key in what a camera says of itself
_COUNTERS = (
    ("roadseg_frames_read", "Frames captured", "read"),
    ("roadseg_frames_shown", "Frames that at least one sink took", "shown"),
    ("roadseg_frames_dropped", "Frames that no sink took", "dropped"),
    ("roadseg_source_reconnects", "Times that a lost source came back", "reconnects"),
    ("roadseg_source_lost_seconds", "Seconds without a source", "lost_seconds"),
    ("roadseg_page_frames_sent", "Pictures sent to viewers of the page", "sent"),
    ("roadseg_page_frames_dropped", "Pictures that viewers were too slow for", "viewer_drops"),
)
_SINK_COUNTERS = (
    ("roadseg_sink_written", "Frames that a sink took", "written"),
    ("roadseg_sink_dropped", "Frames that a sink was too slow for", "dropped"),
)
_AGES = (
    ("roadseg_frame_age_seconds", "Capture to shown, over the last frames", "frame_age_ms"),
    ("roadseg_result_age_seconds", "Capture to class map, over the last frames", "result_age_ms"),
)
_QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}


class Metrics:
    """The metrics of one server, in a registry of its own.

    Args:
        cameras: asked at each scrape.
    """

    def __init__(self, cameras: Callable[[], Sequence[Camera]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Cameras(cameras))

    def exposed(self, accept: str) -> tuple[bytes, str]:
        """Body and content type for what a scraper accepts."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Cameras(Collector):
    def __init__(self, cameras: Callable[[], Sequence[Camera]]) -> None:
        self._cameras = cameras

    def collect(self) -> Iterator[Metric]:
        known = [camera.describe() for camera in self._cameras()]
        for name, text, key in _COUNTERS:
            yield _filled(CounterMetricFamily(name, text, labels=_LABELS), known, key)
        yield _filled(
            GaugeMetricFamily("roadseg_page_viewers", "Who watches now", labels=_LABELS),
            known,
            "viewers",
        )
        yield _filled(
            GaugeMetricFamily("roadseg_frame_rate", "Shown frames per second", labels=_LABELS),
            [one | {"fps": one["fps"] or 0.0} for one in known],
            "fps",
        )
        yield _filled(
            GaugeMetricFamily("roadseg_source_up", "1 while frames come", labels=_LABELS),
            [one | {"up": float(one["state"] == "live")} for one in known],
            "up",
        )
        for name, text, key in _AGES:
            yield _quantiles(
                GaugeMetricFamily(name, text, labels=(*_LABELS, "quantile")), known, key
            )
        yield _stages(known)
        yield _shares(known)
        yield from _sinks(known)


_LABELS = ("camera", "source")


def _labels(one: dict[str, Any], *more: str) -> list[str]:
    return [str(one["number"]), one["source"], *more]


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily, known: list[dict[str, Any]], key: str
) -> Metric:
    for one in known:
        family.add_metric(_labels(one), one[key])
    return family


def _quantiles(family: GaugeMetricFamily, known: list[dict[str, Any]], key: str) -> Metric:
    for one in known:
        for name, quantile in _QUANTILES.items():
            if (value := one[key].get(name)) is not None:
                family.add_metric(_labels(one, quantile), value / 1e3)
    return family


def _stages(known: list[dict[str, Any]]) -> Metric:
    family = GaugeMetricFamily(
        "roadseg_stage_seconds", "Time of a stage", labels=(*_LABELS, "stage", "quantile")
    )
    for one in known:
        for stage, summary in one["stages_ms"].items():
            for name, quantile in _QUANTILES.items():
                if (value := summary.get(name)) is not None:
                    family.add_metric(_labels(one, stage, quantile), value / 1e3)
    return family


def _shares(known: list[dict[str, Any]]) -> Metric:
    family = GaugeMetricFamily(
        "roadseg_class_share", "Share of the last picture, 0 to 1", labels=(*_LABELS, "class")
    )
    for one in known:
        for name, share in one["shares"].items():
            family.add_metric(_labels(one, name), share)
    return family


def _sinks(known: list[dict[str, Any]]) -> Iterator[Metric]:
    for name, text, key in _SINK_COUNTERS:
        family = CounterMetricFamily(name, text, labels=(*_LABELS, "sink"))
        for one in known:
            for sink in one["sinks"]:
                family.add_metric(_labels(one, sink["name"]), sink[key])
        yield family
    failed = GaugeMetricFamily(
        "roadseg_sink_failed", "1 when a sink takes no more", labels=(*_LABELS, "sink")
    )
    for one in known:
        for sink in one["sinks"]:
            failed.add_metric(_labels(one, sink["name"]), float(sink["failed"] is not None))
    yield failed
