"""``python -m pipeline``."""

from __future__ import annotations

import sys

from pipeline.cli import console

sys.exit(console())
