"""The page as a sink."""

from __future__ import annotations

from pipeline.sinks.base import Sink, SinkOptions


def matches(text: str) -> bool:
    """The word ``http``."""
    return text == "http"


def open_http(_text: str, options: SinkOptions) -> Sink:
    """Add a tab to the page that all cameras share, or open a page for this one.

    Raises:
        RuntimeMissingError: the packages of the extra ``page`` are not installed.
        SinkError: the page cannot listen where it should.
    """
    # Here, since the page is made of sinks and the table of sinks names this module.
    from pipeline.page import Page

    if options.page is not None:
        return options.page.sink(options)
    return Page().only_sink(options)
