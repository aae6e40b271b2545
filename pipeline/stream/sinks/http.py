"""The page as a sink."""

from __future__ import annotations

from pipeline.errors import SinkError
from pipeline.stream.sinks.base import Sink, SinkOptions


def matches(text: str) -> bool:
    """The word ``http``."""
    return text == "http"


def open_http(_text: str, options: SinkOptions) -> Sink:
    """Add a tab to the page that all cameras share.

    Raises:
        RuntimeMissingError: the packages of the extra ``page`` are not installed.
        SinkError: the page cannot listen at its address, or there is no page.
    """
    if options.page is None:
        raise SinkError(
            "sink http was given without a page to show it on; open one and pass its sink: "
            "SinkOptions(page=Page().sink), with Page from pipeline.stream.web"
        )
    return options.page(options)
