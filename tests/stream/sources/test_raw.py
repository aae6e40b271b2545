"""Raw frames from standard input."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from io import FileIO

import numpy as np
import pytest
from source_reader import Reader, read, read_to_the_end

from pipeline.errors import SourceError
from pipeline.stream.sources import SourceOptions, open_source

SIZE = (8, 6)
FRAMES = np.random.default_rng(0).integers(0, 256, (5, SIZE[1], SIZE[0], 3)).astype(np.uint8)


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileIO]:
    """The other end of standard input."""
    reading, writing = os.pipe()
    with open(reading, "rb") as stdin, FileIO(writing, "wb") as other:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield other


def test_raw_frames_arrive_whole_and_in_order(writer: FileIO) -> None:
    with open_source("stdin:8x6@25") as source:
        assert (source.live, source.fps, source.promised) == (False, 25, None)
        content = FRAMES.tobytes()
        threading.Thread(target=in_pieces, args=(writer, content)).start()
        frames = read_to_the_end(source)
    np.testing.assert_array_equal(np.stack([frame.image for frame in frames]), FRAMES)
    assert [frame.name for frame in frames] == [f"{index:06d}" for index in range(5)]
    assert source.problems == []


def in_pieces(writer: FileIO, content: bytes) -> None:
    for start in range(0, len(content), 100):
        writer.write(content[start : start + 100])
    writer.close()


def test_a_cut_last_frame_is_said_with_both_numbers(writer: FileIO) -> None:
    in_pieces(writer, FRAMES.tobytes()[:-44])
    with open_source("stdin:8x6") as source:
        assert len(read_to_the_end(source)) == 4
    assert len(source.problems) == 1
    assert "ended within frame 4, after 100 of its 144 bytes" in source.problems[0]


def test_input_without_a_single_frame_is_an_error(writer: FileIO) -> None:
    in_pieces(writer, b"too little")
    with (
        open_source("stdin:8x6") as source,
        pytest.raises(SourceError, match=r"ended after 10 bytes, before the first frame of 8x6"),
    ):
        source.read()


def test_a_writer_in_real_time_is_live(writer: FileIO) -> None:
    with open_source("stdin:8x6", SourceOptions(realtime=True)) as source:
        assert (source.live, source.fps) == (True, None)
        writer.write(FRAMES.tobytes())
        assert read(source).index == 0
    with open_source("stdin:8x6@50", SourceOptions(realtime=True)) as source:
        assert (source.live, source.fps) == (True, 50)
        assert read(source).index == 0


def test_closing_ends_a_read_that_waits_for_the_writer(writer: FileIO) -> None:
    source = open_source("stdin:8x6")
    reader = Reader(source)
    writer.write(b"a part")
    source.close()
    reader.join(5)
    assert not reader.is_alive()
    assert reader.error is None
    assert source.problems == []


@pytest.mark.parametrize("text", ["-", "stdin", "stdin:", "stdin:8", "stdin:0x6", "stdin:8x6@fast"])
def test_frames_of_unknown_size_are_refused(text: str) -> None:
    with pytest.raises(SourceError, match=r"does not say what standard input holds; give stdin:W"):
        open_source(text)
