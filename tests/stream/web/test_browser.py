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
from pipeline.stream.frame import Mark
from pipeline.stream.web import HttpOptions, Page

_CHROMIUM = "/usr/bin/chromium"
_TIMEOUT = 20_000
#: Colours of the middle row of the canvas, without repetitions.
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
        # No sandbox: tests run as root in containers, and only our own page is opened.
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
    """Complaints of the browser's console and its scripts."""
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


def test_a_bar_is_as_long_as_the_share_of_its_class(
    page: Page, front: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    tab.wait_for_function("() => document.querySelector('#legend li:nth-child(4) i').style.width")
    bars = (
        "[...document.querySelectorAll('#legend .bar i')].map((one) => parseFloat(one.style.width))"
    )
    assert tab.evaluate(bars) == [50, 0, 0, 50, *[0] * 7]


def test_tabs_name_files_without_their_folders(page: Page, visit: Callable[..., Tab]) -> None:
    names = ["/data/monday/front.mp4", "/data/tuesday/front.mp4", "videos/rear.mp4", "rtsp://a/b"]
    cameras = [Moving(page, name) for name in names]
    try:
        tab = visit(page)
        tab.wait_for_selector("#tabs button:nth-child(4)")
        shown = tab.evaluate(
            "[...document.querySelectorAll('#tabs span')].map((one) => one.textContent)"
        )
        assert shown == ["monday/front.mp4", "tuesday/front.mp4", "rear.mp4", "a/b"]
        assert names[0] in (tab.get_attribute("#tabs button", "title") or "")
    finally:
        for camera in cameras:
            camera.close()


def test_the_keys_are_listed_and_do_what_the_list_says(
    page: Page, front: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    tab.keyboard.press("?")
    assert tab.is_visible("#keys")
    listed = tab.evaluate(
        "[...document.querySelectorAll('#keys kbd')].map((one) => one.textContent)"
    )
    assert listed == ["1", "2", "3", "4", "S", "R", "F", "N", "T", "←", "→", "?"]
    tab.keyboard.press("3")
    assert tab.get_attribute("[data-mode=overlay]", "aria-checked") == "true"
    tab.keyboard.press("Escape")
    assert tab.is_hidden("#keys")
    tab.keyboard.press("3")
    assert tab.get_attribute("[data-mode=camera]", "aria-checked") == "true"
    tab.keyboard.press("n")
    assert tab.is_hidden("#numbers")
    tab.click("#panel-switch")
    assert tab.is_visible("#numbers")


def picture_box(tab: Tab) -> dict[str, float]:
    """Return the size of the picture itself in CSS pixels, and of the window."""
    return dict(
        tab.evaluate("""() => {
          const canvas = document.getElementById("picture");
          const box = canvas.getBoundingClientRect();
          const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
          return { width: canvas.width * scale, height: canvas.height * scale, bottom: box.bottom,
                   scroll: document.documentElement.scrollHeight };
        }""")
    )


@pytest.mark.parametrize("size", [(1360, 800), (1024, 700), (2200, 1200)])
def test_the_desktop_uses_its_height_and_does_not_scroll(
    page: Page, front: Moving, visit: Callable[..., Tab], size: tuple[int, int]
) -> None:
    tab = visit(page, viewport={"width": size[0], "height": size[1]})
    wait_for_colours_to_come(tab)
    box = picture_box(tab)
    assert box["scroll"] == size[1]
    # 4:3 in the room that numbers, header and two lines of buttons leave in the window.
    room = (size[0] - 336 - 48, size[1] - 190)
    assert box["width"] >= min(room[0], room[1] * 4 / 3) - 2


def test_side_by_side_takes_the_order_in_which_pictures_are_larger(
    page: Page, front: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page, viewport={"width": 1600, "height": 700})
    tab.keyboard.press("4")
    tab.wait_for_function("() => document.getElementById('picture').width === 648")
    tab.set_viewport_size({"width": 1000, "height": 1100})
    tab.wait_for_function("() => document.getElementById('picture').height === 488")
    front.paused.set()
    tab.hover("#picture", position={"x": 300, "y": 700})
    tab.wait_for_function("() => !document.getElementById('under').hidden")


def wait_for_colours_to_come(tab: Tab) -> None:
    tab.wait_for_function("() => document.getElementById('picture').width === 320")


PHONE = {"is_mobile": True, "has_touch": True}


@pytest.mark.parametrize("size", [(390, 844), (320, 640), (844, 390), (667, 375)])
def test_fingers_find_targets_of_44_pixels(
    page: Page, front: Moving, rear: Moving, visit: Callable[..., Tab], size: tuple[int, int]
) -> None:
    tab = visit(page, viewport={"width": size[0], "height": size[1]}, **PHONE)
    tab.wait_for_selector("#tabs button:nth-child(2)")
    small = """() => [...document.querySelectorAll("button, #opacity, #legend label")]
        .filter((one) => one.offsetParent)
        .filter((one) => { const { width, height } = one.getBoundingClientRect();
                           return width < 43.5 || height < 43.5; })
        .map((one) => `${one.id || one.textContent} ${one.offsetWidth} ${one.offsetHeight}`)"""
    assert tab.evaluate(small) == []
    assert tab.evaluate("document.documentElement.scrollWidth") == size[0]


@pytest.mark.parametrize("size", [(844, 390), (667, 375)])
def test_a_phone_on_its_side_shows_picture_and_buttons_together(
    page: Page, front: Moving, visit: Callable[..., Tab], size: tuple[int, int]
) -> None:
    tab = visit(page, viewport={"width": size[0], "height": size[1]}, **PHONE)
    wait_for_colours_to_come(tab)
    box = picture_box(tab)
    assert box["bottom"] <= size[1]
    assert box["width"] * box["height"] >= 0.35 * size[0] * size[1]
    for name in ("[data-mode=both]", "#snapshot", "#full"):
        bottom = tab.evaluate(f"document.querySelector('{name}').getBoundingClientRect().bottom")
        assert bottom <= size[1], name


def test_full_screen_keeps_the_buttons_until_nobody_moves(
    page: Page, front: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    tab.click("#full")
    tab.wait_for_function("() => document.fullscreenElement?.id === 'stage'")
    assert tab.is_visible("#snapshot")
    tab.click("[data-mode=mask]")
    wait_for_colours(tab, {colour(3), colour(0)})
    edge = """() => { const style = getComputedStyle(document.getElementById("frame"));
                      return [style.borderRadius, style.boxShadow]; }"""
    assert tab.evaluate(edge) == ["0px", "none"]
    opacity = "getComputedStyle(document.querySelector('.controls')).opacity"
    tab.evaluate("document.activeElement.blur()")
    tab.wait_for_function(f"() => {opacity} === '0'")
    tab.mouse.move(300, 300)
    tab.wait_for_function(f"() => {opacity} === '1'")
    tab.keyboard.press("f")
    tab.wait_for_function("() => !document.fullscreenElement")


def test_zones_are_drawn_and_an_alert_is_seen(
    page: Page, front: Moving, visit: Callable[..., Tab]
) -> None:
    tab = visit(page)
    tab.click("text=Mask")
    wait_for_colours(tab, {colour(3), colour(0)})
    left, right = 80.5 / 320, 240.5 / 320  # middles of pixels: lines are not blended
    square = ((left, 0.25), (right, 0.25), (right, 0.75), (left, 0.75))
    front.hand.marks = (Mark(square, "crossing 40.0 %", False),)
    tab.wait_for_function(f"() => ({_ROW})().includes('245,245,245')")
    front.hand.marks = (Mark(square, "crossing 40.0 %", True),)
    tab.wait_for_function(f"() => ({_ROW})().includes('255,40,40')")
    front.hand.marks = ()
    wait_for_colours(tab, {colour(3), colour(0)})


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
