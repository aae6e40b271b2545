"""The page in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from page_client import Moving
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as Tab

from models.classes import CAMVID
from pipeline.stream.web import HttpOptions, Page

_CHROMIUM = "/usr/bin/chromium"
_TIMEOUT = 20_000
#: Colours of the middle row of the canvas, without repetition.
_ROW = """() => {
  const canvas = document.getElementById("picture");
  const copy = new OffscreenCanvas(canvas.width, 1);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, -(canvas.height >> 1));
  const row = context.getImageData(0, 0, canvas.width, 1).data;
  const seen = new Set();
  for (let i = 0; i < row.length; i += 4) seen.add(`${row[i]},${row[i + 1]},${row[i + 2]}`);
  return [...seen];
}"""


@pytest.fixture(scope="module")
def browser(system_part: Callable[[str, Sequence[str]], None]) -> Iterator[Browser]:
    system_part("chromium", [_CHROMIUM, "--version"])
    with sync_playwright() as playwright:
        # No sandbox: tests run as root in containers, and the only page is ours.
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def front(page: Page) -> Iterator[Moving]:
    camera = Moving(page, "front")
    yield camera
    camera.close()


@pytest.fixture
def rear(page: Page, front: Moving) -> Iterator[Moving]:
    camera = Moving(page, "rear")
    yield camera
    camera.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console and its scripts complained about."""
    return []


@pytest.fixture
def visit(browser: Browser, complaints: list[str]) -> Iterator[Callable[..., Tab]]:
    contexts = []

    def open_tab(page: Page, **options: Any) -> Tab:
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(_TIMEOUT)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(page.url)
        wait_for(tab, "Live")
        return tab

    yield open_tab
    for context in contexts:
        context.close()


def wait_for(tab: Tab, state: str) -> None:
    tab.wait_for_function(
        "text => document.getElementById('state').textContent === text", arg=state
    )


def colours(tab: Tab) -> set[str]:
    return set(tab.evaluate(_ROW))


def wait_for_colours(tab: Tab, wanted: set[str]) -> None:
    deadline = time.monotonic() + _TIMEOUT / 1000
    while (seen := colours(tab)) != wanted:
        assert time.monotonic() < deadline, f"{seen} and not {wanted}"


def colour(index: int) -> str:
    return ",".join(map(str, CAMVID.palette[index]))


def test_the_picture_moves_and_nothing_is_complained_about(
    page: Page, front: Moving, visit: Callable[..., Tab], complaints: list[str]
) -> None:
    tab = visit(page)
    tab.wait_for_function(
        f"before => JSON.stringify(({_ROW})()) !== before",
        arg=tab.evaluate(f"JSON.stringify(({_ROW})())"),
    )
    assert tab.text_content("#p95") == "55"
    assert tab.text_content("#dropped") == "3"
    assert "50.0 %" in (tab.text_content("#legend li:nth-child(4)") or "")
    assert complaints == []


def test_the_mask_shows_colours_of_the_palette_and_no_others(
    page: Page, front: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    tab.click("text=Mask")
    wait_for_colours(tab, {colour(3), colour(0)})
    tab.uncheck("#legend li:nth-child(4) input")
    wait_for_colours(tab, {"5,7,10", colour(0)})
    tab.click("#none")
    wait_for_colours(tab, {"5,7,10"})
    tab.click("#all")
    wait_for_colours(tab, {colour(3), colour(0)})


def test_the_camera_is_shown_as_it_is_and_beside_its_mask(
    page: Page, front: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    front.paused.set()
    tab.click("text=Camera")
    (grey,) = colours(tab)
    assert len(set(grey.split(","))) == 1
    tab.keyboard.press("4")
    wait_for_colours(tab, {grey, "5,7,10", colour(3), colour(0)})
    assert tab.evaluate("document.getElementById('picture').width") == 2 * 320 + 8


def test_the_overlay_follows_the_slider(
    page: Page, front: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    tab.fill("#opacity", "100")
    wait_for_colours(tab, {colour(3), colour(0)})
    tab.fill("#opacity", "0")
    tab.wait_for_function(f"() => ({_ROW})().length === 1")


def test_a_camera_that_dies_and_returns_is_shown_so(
    page: Page, front: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    front.paused.set()
    front.hand.lose()
    wait_for(tab, "Camera lost")
    assert "Camera lost" in (tab.text_content("#banner") or "")
    assert tab.is_visible("#banner")
    assert tab.get_attribute("#frame", "data-stale") is not None
    tab.wait_for_function(
        "() => document.getElementById('banner').textContent.includes('lost 2 s')"
    )
    front.hand.come_back()
    front.paused.clear()
    wait_for(tab, "Live")
    assert tab.is_hidden("#banner")
    assert tab.get_attribute("#frame", "data-stale") is None
    assert tab.text_content("#reconnects") == "1"


def test_each_camera_has_its_tab(
    page: Page, front: Moving, rear: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    tab.wait_for_selector("#tabs button:nth-child(2)")
    rear.paused.set()
    rear.hand.lose()
    tab.wait_for_selector("#tabs button:nth-child(2) i[data-state=lost]")
    wait_for(tab, "Live")
    tab.focus("#tabs [aria-selected=true]")
    tab.keyboard.press("ArrowRight")
    wait_for(tab, "Camera lost")
    assert tab.text_content("#tabs [aria-selected=true]") == "rear"


def test_a_server_that_goes_and_returns_is_found_again(
    page: Page, front: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    tab.uncheck("#legend li:nth-child(4) input")
    page.close()
    wait_for(tab, "No server")
    assert "cannot be reached" in (tab.text_content("#banner") or "")
    port = int(page.url.rsplit(":", 1)[1].strip("/"))
    with Page(HttpOptions(port=port)) as again:
        camera = Moving(again, "front")
        wait_for(tab, "Live")
        assert not tab.is_checked("#legend li:nth-child(4) input")
        camera.close()


def test_a_visitor_with_the_link_stays_in_without_the_token_in_the_address(
    visit: Callable[..., Tab], complaints: list[str]
) -> None:
    with Page(HttpOptions(port=0, token="correct-horse")) as page:
        camera = Moving(page, "front")
        tab = visit(page)
        assert "token" not in tab.url
        tab.reload()
        wait_for(tab, "Live")
        camera.close()
    assert complaints == []


def test_a_snapshot_and_a_recording_are_saved_by_the_browser(
    page: Page, front: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    with tab.expect_download() as snapshot:
        tab.click("#snapshot")
    assert snapshot.value.suggested_filename.endswith(".png")
    assert snapshot.value.path().read_bytes().startswith(b"\x89PNG")
    tab.click("#record")
    tab.wait_for_function("() => document.getElementById('recorded').textContent === '0:01'")
    with tab.expect_download() as recording:
        tab.click("#record")
    assert recording.value.suggested_filename.endswith((".webm", ".mp4"))
    assert recording.value.path().stat().st_size > 1000


@pytest.mark.parametrize("width", [320, 390, 768, 1360])
def test_no_screen_has_to_be_scrolled_sideways(
    page: Page, front: Moving, rear: Moving, visit: Callable[..., Tab], width: int
) -> None:
    tab = visit(page, viewport={"width": width, "height": 800})
    tab.wait_for_selector("#stages .stage-row")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    cut = """() => [...document.querySelectorAll("button, input, output, b, h1")].filter(
        (one) => one.offsetParent && one.getBoundingClientRect().right > innerWidth + 0.5)
        .map((one) => one.id || one.textContent)"""
    assert tab.evaluate(cut) == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_page_is_dark_or_light_as_the_system_and_the_visitor_choose(
    page: Page, front: Moving, visit: Callable[..., Tab], scheme: str
) -> None:
    tab = visit(page, color_scheme=scheme)
    theme = "document.documentElement.dataset.theme"
    assert tab.evaluate(theme) == scheme
    tab.click("#theme")
    assert tab.evaluate(theme) != scheme
    tab.reload()
    wait_for(tab, "Live")
    assert tab.evaluate(theme) != scheme


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_stands_out_from_its_ground_as_wcag_aa_asks(
    page: Page, front: Moving, visit: Callable[..., Tab], scheme: str
) -> None:
    tab = visit(page, color_scheme=scheme)
    names = ["text", "quiet", "good", "bad", "accent"]
    pairs = [(name, ground) for name in names for ground in ("panel", "ground")]
    pairs += [("quiet", "raised"), ("text", "raised"), ("on-accent", "accent")]
    for ink, ground in pairs:
        assert contrast(luminance(tab, ink), luminance(tab, ground)) >= 4.5, (ink, ground)


def luminance(tab: Tab, name: str) -> float:
    text = tab.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}')")
    parts = [int(text.strip().lstrip("#")[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_everything_that_can_be_used_has_a_name(
    page: Page, front: Moving, rear: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    tab.wait_for_selector("#tabs button:nth-child(2)")
    nameless = """() => [...document.querySelectorAll("button, input")].filter((one) =>
        !(one.textContent.trim() || one.ariaLabel || one.labels?.[0]?.textContent.trim()))
        .map((one) => one.outerHTML)"""
    assert tab.evaluate(nameless) == []
