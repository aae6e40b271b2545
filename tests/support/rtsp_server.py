"""An RTSP camera, to be killed: ``rtsp_server.py PORT file VIDEO | live WIDTH HEIGHT FPS``.

GStreamer's server from Debian, so it runs with Debian's Python (``scripts/system_packages.sh``).
Either serves an H.264 video unchanged, or encodes pictures stamped with their time
(``time_stamps``) in low-delay H.264. Prints ``ready`` when it listens; ``--check`` only reports
whether all parts are installed.
"""

from __future__ import annotations

import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402
from time_stamps import stamp  # noqa: E402

FILE = "( filesrc location={path} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 )"
LIVE = (
    "( appsrc name=camera is-live=true do-timestamp=true format=time "
    "caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 "
    "! openh264enc gop-size={fps} ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
NEEDED = ("filesrc", "qtdemux", "appsrc", "openh264enc", "h264parse", "rtph264pay")


class Live(GstRtspServer.RTSPMediaFactory):
    """Draws pictures as long as a client is connected."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        super().__init__()
        self.picture = bytearray([96]) * (width * height) + bytearray([128]) * (width * height // 2)
        self.width, self.fps = width, fps
        self.set_launch(LIVE.format(width=width, height=height, fps=fps))

    def do_configure(self, media: GstRtspServer.RTSPMedia) -> None:
        source = media.get_element().get_by_name_recurse_up("camera")
        threading.Thread(target=self.draw, args=(source,), daemon=True).start()

    def draw(self, source: Gst.Element) -> None:
        while True:
            stamp(self.picture, self.width, 1)
            buffer = Gst.Buffer.new_wrapped(bytes(self.picture))
            if source.emit("push-buffer", buffer) == Gst.FlowReturn.FLUSHING:
                return
            time.sleep(1 / self.fps)


def main(arguments: list[str]) -> None:
    Gst.init(None)
    missing = [name for name in NEEDED if Gst.ElementFactory.find(name) is None]
    if missing:
        sys.exit(f"GStreamer has no {', '.join(missing)}")
    if arguments == ["--check"]:
        return
    port, kind, *rest = arguments
    if kind == "live":
        factory = Live(*map(int, rest))
    else:
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(FILE.format(path=rest[0]))
    factory.set_shared(True)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.get_mount_points().add_factory("/road", factory)
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(sys.argv[1:])
