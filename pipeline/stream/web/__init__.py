"""The page: what a stream sees and does, in a browser, without a build step and without a cloud.

One server for all cameras, in a thread of its own (``server``). Behind it stand the access control,
which decides who may ask (``access_control``), the routes (``app``), and per camera what it last
showed and who watches (``camera``, ``viewers``). Browsers get camera picture and class map apart
and compose them themselves: modes, opacity and hidden classes cost the server nothing.

Starlette and uvicorn are imported when a page is opened, not before.
"""

from __future__ import annotations

from pipeline.stream.web.options import HttpOptions, Limits
from pipeline.stream.web.server import Page

__all__ = ["HttpOptions", "Limits", "Page"]
