"""A camera on the network, to be killed: ``python mjpeg_server.py PORT WIDTH HEIGHT FPS``.

Serves MJPEG over HTTP as IP cameras do, each picture stamped with its time (``time_stamps``).
Prints ``ready`` when it listens.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
from time_stamps import stamp


class Camera(BaseHTTPRequestHandler):
    """Sends pictures until the client disconnects."""

    width, height, fps = 320, 240, 25.0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        pixels = bytearray(np.full((self.height, self.width, 3), 96, np.uint8).tobytes())
        try:
            while True:
                stamp(pixels, self.width * 3, 3)
                image = np.frombuffer(pixels, np.uint8).reshape(self.height, self.width, 3)
                jpeg = cv2.imencode(".jpg", image)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
                self.wfile.write(head.encode() + b"\r\n\r\n" + jpeg + b"\r\n")
                time.sleep(1 / self.fps)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    port, Camera.width, Camera.height = map(int, sys.argv[1:4])
    Camera.fps = float(sys.argv[4])
    server = ThreadingHTTPServer(("127.0.0.1", port), Camera)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()
