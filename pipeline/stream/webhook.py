"""Posts messages to a web address, in its own thread so that no frame has to wait."""

from __future__ import annotations

import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from pipeline.stream.queues import LatestValueQueue

log = logging.getLogger(__name__)

#: Messages that may wait; if there are more, the oldest is dropped.
_MOST_WAITING = 100
#: Seconds that one attempt may take, and pauses between attempts.
_ATTEMPT = 5.0
_PAUSES = (0.5, 2.0)
#: HTTP status codes after which another attempt may succeed.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Problems that are reported; further ones are only logged.
_MOST_PROBLEMS = 5


class Webhook:
    """Posts JSON documents to an address in order, with up to three attempts for each.

    Redirects are not followed, since the headers may hold a secret for this address only.

    Args:
        url: ``http://`` or ``https://``.
        headers: further headers of each request.

    Attributes:
        place: the address without its path, which is secret with chat services.
        sent: messages that were delivered.
        problems: a line for each that was not.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self.place = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
        self.sent = 0
        self.problems: list[str] = []
        self._url = url
        self._headers = {"Content-Type": "application/json", "User-Agent": "roadseg", **headers}
        self._opener = urllib.request.build_opener(_NoRedirect())
        self._waiting: LatestValueQueue[dict[str, Any]] = LatestValueQueue(
            capacity=_MOST_WAITING,
            on_drop=lambda _: self._lose(f"it takes messages too slowly, {_MOST_WAITING} wait"),
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="roadseg-webhook", daemon=True)
        self._thread.start()

    def post(self, document: dict[str, Any]) -> None:
        """Queue a message; never waits."""
        self._waiting.put(document)

    def close(self, patience: float) -> None:
        """Send the waiting messages for ``patience`` seconds at most, and report those left.

        Calling it again does nothing.
        """
        if self._stop.is_set():
            return
        self._waiting.close()
        self._thread.join(patience)
        self._stop.set()
        if self._thread.is_alive():
            self._lose(f"the run ended {patience:g} s ago and an alert still waits")

    def _run(self) -> None:
        for document in self._waiting:
            if self._stop.is_set():
                return
            reason = self._delivered(json.dumps(document).encode())
            if reason is None:
                self.sent += 1
            else:
                self._lose(reason)

    def _delivered(self, body: bytes) -> str | None:
        """Make up to three attempts; return why the last one failed, None if one succeeded."""
        reason, passing = self._attempt(body)
        for pause in _PAUSES:
            if reason is None or not passing or self._stop.wait(pause):
                break
            reason, passing = self._attempt(body)
        return reason

    def _attempt(self, body: bytes) -> tuple[str | None, bool]:
        """Post once; return what went wrong, if anything, and whether trying again may help."""
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
    """Treats a redirect as an answer, so that it counts as a failure."""

    def redirect_request(self, *_: Any) -> None:
        return None
