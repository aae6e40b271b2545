"""The page: a stream's pictures and figures in a browser, without a build step or a cloud.

One server for all cameras runs in its own thread (``server``). It has the access control, which
decides which requests are answered (``access_control``), the routes (``app``), and per camera its
last result and its viewers (``camera``, ``viewers``). Browsers get camera picture and class map
separately and combine them, so that modes, opacity and hidden classes cost the server nothing.

Starlette and uvicorn are imported when a page is opened, not before.
"""

from __future__ import annotations

from pipeline.stream.web.options import HttpOptions, Limits
from pipeline.stream.web.server import Page

__all__ = ["HttpOptions", "Limits", "Page"]
