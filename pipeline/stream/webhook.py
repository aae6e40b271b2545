"""Messages to a web address, posted in a thread of their own so that no frame waits for one."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

#: Messages that may wait; beyond, the oldest is given up.
_MOST_WAITING = 100
#: Seconds that one attempt may take, and pauses before further ones.
_ATTEMPT = 5.0
_PAUSES = (0.5, 2.0)
#: Answers after which the same message may be taken later.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Kinds of problem that are reported line by line; the rest is counted.
_MOST_PROBLEMS = 5


class Webhook:
    """Posts JSON documents to an address, in their order, each up to three times.

    Redirects are not followed: what the headers hold is meant for this address alone.

    Args:
        url: ``http://`` or ``https://``.
        headers: of each request, beside its type.

    Attributes:
        sent: messages that were taken.
        problems: a line for each that was not.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        #: Of chat services the rest is secret.
        self.place = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
        self.sent = 0
        self.problems: list[str] = []
        self._url = url
        self._headers = {"Content-Type": "application/json", "User-Agent": "roadseg", **headers}
        self._opener = urllib.request.build_opener(_NoRedirect())
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(_MOST_WAITING)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="roadseg-webhook", daemon=True)
        self._thread.start()

    def post(self, document: dict[str, Any]) -> None:
        """Queue a message; never waits."""
        while True:
            try:
                self._waiting.put_nowait(document)
                return
            except queue.Full:
                try:
                    self._waiting.get_nowait()
                except queue.Empty:
                    continue
                self._lose(f"it takes messages too slowly, {_MOST_WAITING} wait")

    def close(self, patience: float) -> None:
        """Send what waits, for so many seconds at most; the rest is lost and said so.

        Calling it again does nothing.
        """
        if self._stop.is_set():
            return
        deadline = time.monotonic() + patience
        while self._thread.is_alive() and time.monotonic() < deadline:
            try:
                self._waiting.put(None, timeout=0.05)
                break
            except queue.Full:
                continue
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self._stop.set()
        if self._thread.is_alive():
            self._lose(f"the run ended {patience:g} s ago and an alert still waits")

    def _run(self) -> None:
        while (document := self._waiting.get()) is not None and not self._stop.is_set():
            reason = self._delivered(json.dumps(document).encode())
            if reason is None:
                self.sent += 1
            else:
                self._lose(reason)

    def _delivered(self, body: bytes) -> str | None:
        """Try until it is taken; why it was not, or None."""
        reason, passing = self._attempt(body)
        for pause in _PAUSES:
            if reason is None or not passing or self._stop.wait(pause):
                break
            reason, passing = self._attempt(body)
        return reason

    def _attempt(self, body: bytes) -> tuple[str | None, bool]:
        """Post once: what went wrong, and whether trying again may help."""
        request = urllib.request.Request(self._url, body, self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=_ATTEMPT) as answer:
                answer.read(1)
        except urllib.error.HTTPError as error:
            error.close()
            return f"it answered {error.code}", error.code in _PASSING
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "reason", error)
            return f"it cannot be reached ({getattr(why, 'strerror', None) or why})", True
        return None, False

    def _lose(self, reason: str) -> None:
        problem = f"an alert was not delivered to {self.place}: {reason}"
        log.error("%s", problem)
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect as the answer, which is then none that counts."""

    def redirect_request(self, *_: Any) -> None:
        return None
