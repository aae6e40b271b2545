"""Imported before everything else: warnings of libraries about themselves are off the log."""

from __future__ import annotations

from models.library_logs import quiet_imports

quiet_imports()
