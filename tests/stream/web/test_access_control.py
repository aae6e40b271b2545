"""Requests that the page refuses."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from page_client import CameraInHand, get, listen_to_the_end, next_picture, next_words, watch
from websockets.exceptions import InvalidStatus

from pipeline.errors import SinkError
from pipeline.stream.web import HttpOptions, Limits, Page
from pipeline.stream.web.access_control import RateLimit

_TOKEN = "correct-horse"


@pytest.fixture
def page() -> Iterator[Page]:
    with Page(HttpOptions(port=0)) as page:
        page.open()
        yield page


@pytest.fixture
def locked() -> Iterator[Page]:
    with Page(HttpOptions(port=0, token=_TOKEN)) as page:
        page.open()
        yield page


def test_a_page_for_other_machines_makes_up_a_token() -> None:
    with Page(HttpOptions("0.0.0.0", 0)) as page:
        page.open()
        token = page.url.partition("?token=")[2]
        assert len(token) >= 20
        assert get(page, "/api/stats").status == 401
        assert get(page, f"/api/stats?token={token}").status == 200


@pytest.mark.parametrize("token", ["short", "with a space", "ünïcödé-token"])
def test_a_token_that_is_weak_or_does_not_fit_into_an_address_is_refused(token: str) -> None:
    with pytest.raises(SinkError, match="the page's token"):
        HttpOptions(token=token)


def test_a_port_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SinkError, match=r"port is 70000.*1 to 65535"):
        HttpOptions(port=70000)


@pytest.mark.parametrize(
    "path", ["/", "/static/page.js", "/api/stats", "/metrics", "/healthz", "/snapshot/1.jpg"]
)
def test_without_the_token_nothing_is_answered(locked: Page, path: str) -> None:
    answer = get(locked, path)
    assert answer.status == 401
    assert b"token" in answer.body
    assert _TOKEN.encode() not in answer.body


def test_the_token_is_taken_as_bearer_or_query_and_a_wrong_one_is_not(locked: Page) -> None:
    assert get(locked, "/api/stats", Authorization=f"Bearer {_TOKEN}").status == 200
    assert get(locked, f"/api/stats?token={_TOKEN}").status == 200
    assert get(locked, "/api/stats", Authorization="Bearer wrong-horse").status == 401
    assert get(locked, f"/api/stats?token={_TOKEN}x").status == 401
    assert get(locked, "/api/stats?token=").status == 401


def test_the_page_turns_the_token_into_a_cookie_and_takes_it_out_of_the_address(
    locked: Page,
) -> None:
    answer = get(locked, f"/?token={_TOKEN}")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Lax"} <= set(attributes)
    assert _TOKEN not in cookie
    assert get(locked, "/", Cookie=cookie).status == 200
    CameraInHand(locked).show()
    with watch(locked, Cookie=cookie) as browser:
        next_picture(browser)


def test_a_browser_without_the_token_gets_no_pictures(locked: Page) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        watch(locked)


def test_after_many_wrong_tokens_each_further_one_is_answered_late(
    locked: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[float] = []

    async def sleep(seconds: float) -> None:
        late.append(seconds)

    monkeypatch.setattr("pipeline.stream.web.access_control.asyncio.sleep", sleep)
    answers = [get(locked, f"/?token=guess-{number}").status for number in range(12)]
    assert answers == [401] * 12
    assert late.count(1.0) == 2
    assert get(locked, f"/?token={_TOKEN}").status == 303  # delayed too: timing reveals nothing
    assert late.count(1.0) == 3


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "10.0.0.1", "", "[::1"])
def test_other_names_for_this_machine_are_refused(page: Page, host: str) -> None:
    assert get(page, "/", Host=host).status == 403
    assert get(page, "/api/stats", Host=host).status == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1", "[::1]:1"])
def test_this_machines_own_names_are_answered_also_through_a_tunnel(page: Page, host: str) -> None:
    assert get(page, "/", Host=host).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_pages_of_other_origins_get_no_connection(page: Page, origin: str) -> None:
    CameraInHand(page)
    with pytest.raises(InvalidStatus, match="403"):
        watch(page, Origin=origin)


def test_the_pages_own_origin_gets_one(page: Page) -> None:
    CameraInHand(page)
    with watch(page, Origin=f"http://{urlsplit(page.url).netloc}") as browser:
        next_words(browser)


def test_other_sites_may_link_to_the_page_but_not_embed_it(page: Page) -> None:
    other = {"Sec_Fetch_Site": "cross-site"}
    assert get(page, "/", Sec_Fetch_Mode="navigate", **other).status == 200
    assert get(page, "/snapshot/1.jpg", Sec_Fetch_Mode="no-cors", **other).status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/..%2f..%2fetc/passwd",
        "/static/..%2fserver.py",
        "/static/../server.py",
        "/static//etc/passwd",
        "/static/",
        "/static/page.js%00.css",
        "/snapshot/99.jpg",
        "/snapshot/-1.jpg",
        "/stream/1.mjpg/x",
        "/live/1",
        "/nothing",
    ],
)
def test_a_path_that_is_not_ours_is_nothing(page: Page, path: str) -> None:
    answer = get(page, path)
    assert answer.status == 404
    assert b"passwd" not in answer.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(page: Page, method: str) -> None:
    assert get(page, "/api/stats", method).status == 405


@pytest.mark.parametrize("path", ["/", "/static/page.css", "/api/stats", "/nothing"])
def test_every_answer_carries_the_headers_that_protect_it(page: Page, path: str) -> None:
    headers = get(page, path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers


def test_too_many_requests_are_told_to_wait() -> None:
    with Page(HttpOptions(port=0, limits=Limits(requests=0.001, burst=5))) as page:
        page.open()
        answers = [get(page, "/api/stats").status for _ in range(7)]
    assert answers == [200] * 5 + [429] * 2


def test_requests_are_counted_per_address_and_allowed_again_later() -> None:
    limit = RateLimit(rate=50, burst=1)
    assert limit.spend("a")
    assert not limit.spend("a")
    assert limit.spend("b")
    time.sleep(0.05)
    assert limit.spend("a")


def test_viewers_are_limited_over_all_cameras_and_a_place_is_freed() -> None:
    with Page(HttpOptions(port=0, limits=Limits(viewers=2))) as page:
        CameraInHand(page).show()
        CameraInHand(page).show()
        with watch(page, 2) as other:
            next_words(other)
            with watch(page, 1) as browser:
                next_words(browser)
                assert get(page, "/stream/1.mjpg").status == 503
                with watch(page) as refused:
                    assert listen_to_the_end(refused) == 4503
        deadline = time.monotonic() + 5
        while get(page, "/api/stats").json()["cameras"][0]["viewers"]:
            assert time.monotonic() < deadline
        with watch(page) as browser:
            next_words(browser)


def test_a_camera_that_is_not_there_is_said_to_the_browser(page: Page) -> None:
    with watch(page, 9) as browser:
        assert listen_to_the_end(browser) == 4404


@pytest.mark.parametrize("message", ["x" * 10_000, b"bytes"])
def test_a_browser_that_sends_what_none_sends_is_sent_home(
    page: Page, message: str | bytes
) -> None:
    CameraInHand(page)
    with watch(page) as browser:
        next_words(browser)
        browser.send(message)
        assert listen_to_the_end(browser) in {1001, 1009}
    assert get(page, "/healthz").status == 503  # still answers


def test_headers_without_an_end_are_cut_off(page: Page) -> None:
    place = urlsplit(page.url)
    with socket.create_connection((place.hostname, place.port), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 200_000)
        assert b" 400 " in raw.recv(1024)
    assert get(page, "/").status == 200
