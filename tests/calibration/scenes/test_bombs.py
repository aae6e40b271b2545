"""Small files that request much memory, in separate processes with a memory limit."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from calibration.errors import DataError
from calibration.scenes.class_file import read_classes

_ROOT = Path(__file__).parents[3]


def png(side: int) -> bytes:
    """A picture of one colour with one bit per pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + side // 8)) for _ in range(side)) + packer.flush()
    heading = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*one) for one in ((b"IHDR", heading), (b"IDAT", rows), (b"IEND", b""))
    )


def test_a_picture_of_a_billion_pixels_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png(30_000))
    assert path.stat().st_size < 200_000
    code = (
        "import re, sys\n"
        "from models.bounded import limit_pictures\n"
        "limit_pictures()\n"
        "from calibration.errors import DataError\n"
        "from calibration.scenes.dataset import read_picture\n"
        "try:\n    read_picture(sys.argv[1])\n"
        "except DataError as error:\n    print(error)\n"
        # Not ru_maxrss, which starts with the memory of the process's parent.
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said, kilobytes = done.stdout.splitlines()
    assert "67108864 pixels; scale it down, or set OPENCV_IO_MAX_IMAGE_PIXELS to more" in said
    assert int(kilobytes) < 500_000


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("x" * 1_000, "1000 characters"),
        ("road" + " " * 100_000 + "x", "100005 characters"),
        ("x" * (1 << 20), "larger than 256 KB"),
    ],
)
def test_a_class_file_with_an_endless_name_is_refused(
    line: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(f"road\n{line}\ncar\n")
    with pytest.raises(DataError, match=problem):
        read_classes(path)


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(DataError, match="larger than 256 KB"):
        read_classes("/dev/zero")
