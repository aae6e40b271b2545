"""Attacks by strangers on a page, which keeps serving its authorised visitors."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from page_client import CameraInHand, get, listen_to_the_end, next_picture, next_words, watch
from websockets.frames import Frame, Opcode

from pipeline.stream.web import HttpOptions, Limits, Page
from pipeline.stream.web.connections import Connections, network_of
from pipeline.stream.web.log_limit import LogLimit
from pipeline.stream.web.viewers import Viewer, ViewerPlaces

_TOKEN = "correct-horse"
_LIMITS = Limits(
    viewers=3,
    connections=8,
    connections_per_address=8,
    request_seconds=0.3,
    stall_seconds=0.3,
    guess_seconds=0.05,
)


@pytest.fixture
def locked() -> Iterator[Page]:
    with Page(HttpOptions(port=0, token=_TOKEN, limits=_LIMITS)) as page:
        page.open()
        yield page


def raw(page: Page, sent: bytes = b"") -> socket.socket:
    place = urlsplit(page.url)
    connected = socket.create_connection((place.hostname, place.port), timeout=10)
    connected.sendall(sent)
    return connected


def cookie_of(page: Page) -> str:
    given = get(page, f"/?token={_TOKEN}").headers["Set-Cookie"]
    return given.partition(";")[0]


def is_closed(connected: socket.socket) -> bool:
    """Wait until the other side has closed; return True, or the test ends with a time-out."""
    try:
        while connected.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def test_silence_keeps_nobody_out(locked: Page) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(raw(locked)) for _ in range(50)]
        assert get(locked, f"/api/stats?token={_TOKEN}").status == 200
        assert all(is_closed(one) for one in silent)


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9"]
)
def test_who_never_asks_is_sent_away(locked: Page, sent: bytes) -> None:
    with raw(locked, sent) as one:
        assert is_closed(one)


def test_a_body_that_trickles_holds_no_connection(locked: Page) -> None:
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
    with raw(locked, head) as one, pytest.raises(ConnectionError):  # noqa: PT012
        while True:
            one.sendall(b"x" * 16)
            one.settimeout(0.02)
            try:
                if not one.recv(65536):
                    raise ConnectionResetError
            except TimeoutError:
                pass


def test_a_stream_that_is_not_read_gives_its_place_back(locked: Page) -> None:
    camera = CameraInHand(locked, size=(720, 1280))
    camera.show()
    ask = f"GET /stream/1.mjpg?token={_TOKEN} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(_LIMITS.viewers):
            stack.enter_context(raw(locked, ask))
        for _ in range(2000):
            camera.show()
            answer = get(locked, "/api/stats", Authorization=f"Bearer {_TOKEN}")
            if answer.status == 200 and answer.json()["cameras"][0]["viewers"] == 0:
                break
        else:
            raise AssertionError("they still hold their places")
        with watch(locked, Cookie=cookie_of(locked)) as browser:
            next_picture(browser)


def test_a_viewer_that_has_stalled_leaves_its_place_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    left: list[tuple[str, int]] = []
    places = ViewerPlaces(2, 2, left.append)
    stalled, lively, other = (Viewer(("a", port), window=0) for port in (1, 2, 3))
    assert places.take(stalled)
    assert places.take(lively)
    assert not places.take(other)
    clock[0] += 5
    lively.answer()
    assert places.take(other)
    assert left == [("a", 1)]
    assert stalled.ended


def test_one_address_gets_only_its_share_of_places() -> None:
    places = ViewerPlaces(3, 2, lambda _client: None)
    assert [places.take(Viewer(("a", port))) for port in range(3)] == [True, True, False]
    assert places.take(Viewer(("b", 1)))


def test_wrong_tokens_and_cross_site_requests_lock_nobody_out(locked: Page) -> None:
    cookie = cookie_of(locked)
    for number in range(15):
        assert get(locked, f"/?token=guess-{number}").status == 401
    for _ in range(150):
        status = get(
            locked, "/snapshot/1.jpg", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors"
        ).status
        assert status == 403
    assert get(locked, "/", Cookie=cookie).status == 200
    assert get(locked, f"/api/stats?token={_TOKEN}").status == 200
    assert get(locked, "/api/stats?token=wrong", Cookie=cookie).status == 200


def test_strangers_at_the_same_address_do_not_use_up_what_a_holder_may_ask() -> None:
    limits = Limits(requests=0.001, burst=3)
    with Page(HttpOptions(port=0, token=_TOKEN, limits=limits)) as page:
        page.open()
        assert [get(page, "/").status for _ in range(5)] == [401] * 3 + [429] * 2
        assert get(page, f"/api/stats?token={_TOKEN}").status == 200


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "a=b; {}",
        "{}; a=b",
        "{}; {{json: [1, 2]}}=x",
        'a="unclosed; {}',
        "name with space=1; {}",
        "=empty; {}",
        "lonely; {}",
        "a=b=c==; {};",
        ";;; {}",
        "é=ü; {}",
        "a[0]=b:c,d/e@f; {}",
        "session=%7B%22a%22%3A1%7D; {}",
        "path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; {}",
    ],
)
def test_cookies_of_other_services_of_the_host_do_no_harm(locked: Page, form: str) -> None:
    cookie = form.format(cookie_of(locked)).encode().decode("latin-1")
    assert get(locked, "/", Cookie=cookie).status == 200


def test_an_older_cookie_beside_the_right_one_does_no_harm(locked: Page) -> None:
    cookie = cookie_of(locked)
    name = cookie.partition("=")[0]
    assert get(locked, "/", Cookie=f"{name}=old; {cookie}").status == 200
    assert get(locked, "/", Cookie=f"{name}=old").status == 401


@pytest.mark.parametrize("path", ["/snapshot/{}.jpg", "/stream/{}.mjpg", "/live/{}"])
def test_a_number_of_4400_digits_is_no_camera(locked: Page, path: str) -> None:
    answer = get(locked, f"{path.format('9' * 4400)}?token={_TOKEN}")
    assert answer.status == 404


def test_garbage_is_one_line_in_the_log(locked: Page, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(100):
        with raw(locked, b"\x16\x03\x01garbage\x00\r\n\r\n") as one:
            assert is_closed(one)
    lines = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert lines[0].exc_info is None


def test_what_is_held_back_in_the_log_is_counted() -> None:
    def line(text: str) -> logging.LogRecord:
        return logging.LogRecord("page", logging.WARNING, __file__, 1, text, (), None)

    limit = LogLimit(pause=60)
    assert [limit.filter(line("bad")) for _ in range(5)] == [True] + [False] * 4
    assert limit.filter(line("other"))
    limit = LogLimit(pause=-1)
    limit._held_back["bad"] = 4
    again = line("bad")
    assert limit.filter(again)
    assert again.getMessage() == "bad (and 4 more like it)"


def test_a_message_in_pieces_is_refused(locked: Page) -> None:
    CameraInHand(locked)
    with watch(locked, Cookie=cookie_of(locked)) as browser:
        next_words(browser)
        pieces = [(Opcode.TEXT, b"a"), *((Opcode.CONT, b"") for _ in range(1000))]
        sent = [Frame(kind, text, fin=False).serialize(mask=True) for kind, text in pieces]
        browser.socket.sendall(b"".join(sent))
        assert listen_to_the_end(browser) == 1008


def test_an_address_displaces_itself_before_others() -> None:
    closed: list[tuple[str, int]] = []
    connections = Connections(4, 4)

    def come(host: str, port: int) -> bool:
        return connections.open((host, port), lambda: closed.append((host, port)))

    assert come("visitor", 1)
    assert all(come("crowd", port) for port in range(10))
    assert closed == [("crowd", port) for port in range(7)]
    with connections.serving(("visitor", 1)), connections.serving(("crowd", 9)):
        assert all(come(f"host {number}", 1) for number in range(9))
        assert ("visitor", 1) not in closed
        assert ("crowd", 9) not in closed


def test_a_crowd_that_is_served_gets_no_further_connection() -> None:
    connections = Connections(8, 2)
    with ExitStack() as stack:
        for port in range(2):
            assert connections.open(("a", port), lambda: None)
            stack.enter_context(connections.serving(("a", port)))
        assert not connections.open(("a", 2), lambda: None)
        assert connections.open(("b", 2), lambda: None)
    assert connections.open(("a", 3), lambda: None)
    assert len(connections) == 3


def test_addresses_of_one_household_are_one() -> None:
    assert network_of("2001:db8:1:2:aaaa::1") == network_of("2001:db8:1:2:bbbb::9")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:10.0.0.7") == network_of("10.0.0.7")
    assert network_of("fe80::1%eth0") == network_of("fe80::2%eth0")
