"""How long threads of a stream wait for each other, in seconds."""

from __future__ import annotations

#: Until a waiting thread looks whether the stream goes on.
LOOK_AROUND = 0.05
#: That closing waits for a read, a write or a driver in another thread before it is left behind.
CLOSE_TIMEOUT = 1.0
