"""The page at the end of a real stream, and at the start of the next one."""

from __future__ import annotations

import asyncio
import threading

from page_client import get, next_picture, next_words, watch
from stream_doubles import Collect, Marks, Numbers

from pipeline.stream import StreamInput, StreamOptions, StreamReport, run_inputs
from pipeline.stream.sinks.base import SinkOptions
from pipeline.stream.sources import open_source
from pipeline.stream.web import Page
from pipeline.stream.web.viewers import Viewer


class Running:
    """A stream of live cameras into tabs of a page, in a thread, until the block ends."""

    def __init__(self, page: Page, cameras: int) -> None:
        self.collected = [Collect() for _ in range(cameras)]
        self._feeds = [
            StreamInput(
                Numbers(live=True, interval=0.005, size=(120, 160)),
                [page.sink(SinkOptions(source=f"camera {number}")), collect],
            )
            for number, collect in enumerate(self.collected, start=1)
        ]
        self._stop = threading.Event()
        self.report: StreamReport | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.report = run_inputs(Marks(), self._feeds, StreamOptions(stop=self._stop))

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_a_stream_shows_its_numbers_on_the_page(page: Page) -> None:
    with Running(page, cameras=2) as running, watch(page, 2) as browser:
        seen = [next_picture(browser).header["index"] for _ in range(20)]
        words = next_words(browser)["camera"]
    assert seen == sorted(set(seen))
    assert words["source"] == "camera 2"
    assert words["state"] == "live"
    assert set(words["stages_ms"]) >= {"capture", "infer", "draw", "http"}
    assert 0 < words["frame_age_ms"]["p50"] < 5000
    assert [one["name"] for one in words["sinks"]] == ["http", "collect"]
    assert running.report is not None
    assert running.report.problems == ()


def test_browsers_that_stall_cost_a_file_no_frame_in_its_other_sinks(page: Page) -> None:
    collect = Collect()
    sink = page.sink()
    with watch(page) as one, watch(page) as other:
        next_words(one)
        next_words(other)
        report = run_inputs(Marks(), [StreamInput(Numbers(300), [sink, collect])])
        stats = get(page, "/api/stats").json()["cameras"][0]
    assert collect.indices == list(range(300))
    assert report.problems == ()
    assert stats["sent"] <= 2 * 2  # no more is on its way to a browser that does not answer


def test_the_pages_stream_is_a_camera_for_another_run(page: Page) -> None:
    with Running(page, cameras=1), open_source(f"{page.url}stream/1.mjpg") as source:
        frames = [source.read() for _ in range(5)]
    assert source.live
    assert [frame.image.shape for frame in frames if frame is not None] == [(120, 160, 3)] * 5


def test_after_its_end_a_stream_is_said_to_have_ended(page: Page) -> None:
    with Running(page, cameras=1), watch(page) as browser:
        next_picture(browser)
    assert get(page, "/healthz").json()["cameras"][0]["state"] == "ended"


def test_who_comes_while_a_picture_is_shown_gets_it_once() -> None:
    """It is offered as the last picture and, a moment later, as the next one."""

    async def watch() -> list[bytes | None]:
        viewer, shown, following = Viewer(), bytes(2), bytes(3)
        viewer.offer(shown)
        taken = [await viewer.take()]
        viewer.offer(shown)
        taken.append(await viewer.take(timeout=0.01))
        viewer.offer(following)
        taken.append(await viewer.take())
        assert viewer.dropped == 0
        return taken

    assert asyncio.run(watch()) == [bytes(2), None, bytes(3)]
