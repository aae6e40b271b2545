"""How long the threads of a stream wait for each other, in seconds."""

from __future__ import annotations

#: Interval at which a waiting thread checks whether the stream goes on.
POLL_INTERVAL = 0.05
#: Longest time that closing waits for a read, a write or a driver in another thread.
CLOSE_TIMEOUT = 1.0
