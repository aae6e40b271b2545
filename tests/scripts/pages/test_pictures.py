"""The script that makes the pages' pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import pytest
from page_client import Moving

from pipeline.engine.manifest import Engine
from pipeline.stream.web import HttpOptions, Page
from scripts.pages.pictures import MORE_SHOTS, SHOTS, Shot, draw_drive, record, take

ROOT = Path(__file__).parents[3]


def test_the_page_is_photographed_at_the_size_that_is_asked_for(
    tmp_path: Path, system_part: Callable[[str, Sequence[str]], None]
) -> None:
    system_part("chromium", ["/usr/bin/chromium", "--version"])
    with Page(HttpOptions(port=0)) as page:
        camera = Moving(page, "front")
        try:
            phone = Shot("phone.jpg", (390, 400), phone=True)
            take(page.url, [Shot("page.jpg", (640, 480), "light"), phone], tmp_path)
        finally:
            camera.close()
    sizes = {path.name: cv2.imread(str(path)).shape for path in tmp_path.iterdir()}
    assert sizes == {"page.jpg": (480, 640, 3), "phone.jpg": (800, 780, 3)}


def test_a_drive_becomes_a_moving_picture(tmp_path: Path, small_engine: Engine) -> None:
    record("synthetic:128x96", tmp_path / "drive.mp4", 7)
    draw_drive(str(small_engine.path), tmp_path / "drive.mp4", tmp_path / "drive.webp")
    _, animation = cv2.imreadanimation(str(tmp_path / "drive.webp"))
    assert len(animation.frames) == 3
    assert list(animation.durations) == [120] * 3


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
def test_the_pictures_of_the_pages_have_the_form_that_the_script_gives_them(shot: Shot) -> None:
    width, height = (2 * side if shot.phone else side for side in shot.size)
    assert cv2.imread(str(ROOT / "docs" / shot.name)).shape == (height, width, 3)


def test_each_shot_has_a_name_of_its_own() -> None:
    names = [shot.name for shot in (*SHOTS, *MORE_SHOTS)]
    assert len(set(names)) == len(names)
    shown = "".join(
        (ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/live.md")
    )
    assert set(re.findall(r"page[\w-]*\.jpg", shown)) == {shot.name for shot in SHOTS}
