"""The chart and table of speed and accuracy follow from their figures."""

from __future__ import annotations

from xml.etree import ElementTree

from calibration.table import load_table
from models.speeds import measured_speeds
from models.weights import registered_table
from scripts.pages.frontier.chart import PICTURE, chart
from scripts.pages.frontier.table import PAGE, with_table
from scripts.pages.frontier.tables import gains


def test_the_page_holds_the_measured_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page, measured_speeds()) == page
    assert page.count("![Frames per second against mIoU](frontier.svg)") == 1


def test_the_chart_is_of_the_measured_speeds() -> None:
    speeds = measured_speeds()
    drawn = PICTURE.read_text(encoding="utf-8")
    assert drawn == chart(speeds)
    circles = ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}circle")
    titles = [mark for mark in circles if len(mark)]
    assert len(titles) == len(speeds.rows)


def test_the_tables_say_what_int8_gained() -> None:
    speeds = measured_speeds()
    for name, gain in gains(speeds).items():
        judged = load_table(registered_table(name)).measured["judged"]
        assert (judged["speedup"], judged["processor"]) == (gain, speeds.machine)
