"""``python -m pipeline``."""

from __future__ import annotations

import signal
import sys

from pipeline.cli import main

# A terminated build must clean up as an interrupted one does; 'run' has handlers of its own.
signal.signal(signal.SIGTERM, signal.default_int_handler)
# So is the end of the terminal, unless it is to be ignored (``nohup``).
if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.default_int_handler)
sys.exit(main())
