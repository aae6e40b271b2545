"""``python -m pipeline``."""

from __future__ import annotations

import signal
import sys

from pipeline.cli import main

# A terminated build must clean up as an interrupted one does; 'run' has handlers of its own.
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())
