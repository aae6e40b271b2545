"""A media server that accepts a stream and records it: ``rtsp_recorder.py OUT.mkv``.

GStreamer's server from Debian, so it runs with Debian's Python (``scripts/system_packages.sh``).
Prints its port; ``--check`` only reports whether all parts are installed.
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

LAUNCH = "( rtph264depay name=depay0 ! h264parse ! matroskamux ! filesink location={path} )"
NEEDED = ("rtph264depay", "h264parse", "matroskamux", "filesink")


def main() -> int:
    Gst.init(None)
    if sys.argv[1] == "--check":
        return 0 if all(Gst.ElementFactory.find(name) for name in NEEDED) else 1
    server = GstRtspServer.RTSPServer()
    server.set_service("0")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(LAUNCH.format(path=sys.argv[1]))
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
