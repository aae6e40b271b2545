"""Imported before everything else: keeps libraries' warnings about themselves out of the log."""

from __future__ import annotations

from models.library_logs import quiet_imports

quiet_imports()
