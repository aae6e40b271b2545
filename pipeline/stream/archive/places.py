"""Finds recordings in folders, patterns, lists of them, and buckets of an S3 store."""

from __future__ import annotations

import fnmatch
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from calibration.scenes.natural_order import natural
from calibration.scenes.video_file import library_path
from pipeline.errors import SourceError, reason_of

_VIDEOS = {".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".ts", ".mts", ".mpg", ".mpeg", ".3gp"}
_S3 = "s3://"


def expand(texts: Sequence[str]) -> list[str]:
    """Return the videos that the texts name, each once and with an absolute path.

    Args:
        texts: a video, a folder (all videos below it), a pattern such as ``drives/**/*.mp4``, a
            list ``NAME.txt`` with one of these a line, or the same under ``s3://``.

    Raises:
        SourceError: one of them names no video.
    """
    found: list[str] = []
    for text in texts:
        found += _expanded(text)
    return list(dict.fromkeys(found))


def _expanded(text: str) -> list[str]:
    if text.startswith(_S3):
        return _in_bucket(text)
    path = Path(text).expanduser()
    if path.suffix.lower() == ".txt" and path.is_file():
        return _listed(path)
    if path.is_dir():
        videos = [one for one in path.rglob("*") if one.suffix.lower() in _VIDEOS]
    elif path.exists():
        videos = [path]
    else:
        videos = [Path(one) for one in glob.glob(str(path), recursive=True)]
    names = sorted((os.path.abspath(one) for one in videos if one.is_file()), key=natural)
    if not names:
        raise SourceError(
            f"source {text} names no video; give a video, a folder of videos, a pattern in quotes "
            "such as 'drives/**/*.mp4', a list NAME.txt, or an address s3://BUCKET/..."
        )
    return names


def _listed(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise SourceError(f"list {path} cannot be read ({error.strerror}); check it") from error
    found: list[str] = []
    for line in (line.strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        text = line if line.startswith(_S3) else str(path.parent / Path(line).expanduser())
        try:
            found += _expanded(text)
        except SourceError:
            found.append(text)  # one of many may be missing; it gets into the report
    if not found:
        raise SourceError(f"list {path} names no video; write one per line")
    return found


def _in_bucket(text: str) -> list[str]:
    from pyarrow import fs

    store, place = _store(), text.removeprefix(_S3).rstrip("/")
    steps = place.split("/")
    plain = next((i for i, step in enumerate(steps) if glob.has_magic(step)), len(steps))
    root = "/".join(steps[:plain])
    with _s3_errors(text):
        info = store.get_file_info(root)
        if info.type == fs.FileType.File:
            names = [root]
        else:
            files = store.get_file_info(fs.FileSelector(root, recursive=True))
            names = [one.path for one in files if one.type == fs.FileType.File]
    if plain < len(steps):
        # As in a folder, ** stands for any number of folders, also for none.
        patterns = {place, place.replace("**/", "")}
        names = [one for one in names if any(fnmatch.fnmatchcase(one, p) for p in patterns)]
    elif names != [root]:
        names = [one for one in names if Path(one).suffix.lower() in _VIDEOS]
    if not names:
        raise SourceError(f"source {text} names no video in the store; check bucket and name")
    return [_S3 + one for one in sorted(names, key=natural)]


def fingerprint(source: str) -> str:
    """Return size and time of a file, which change with the file.

    Raises:
        SourceError: the file cannot be read.
    """
    if source.startswith(_S3):
        with _s3_errors(source):
            info = _store().get_file_info(source.removeprefix(_S3))
            if not info.is_file:
                raise FileNotFoundError("no such object")
            return f"{info.size} {info.mtime_ns}"
    try:
        status = os.stat(source)
    except OSError as error:
        raise SourceError(
            f"source {source} cannot be read ({error.strerror}); check the path, on every node"
        ) from error
    return f"{status.st_size} {status.st_mtime_ns}"


@contextmanager
def opened(source: str) -> Iterator[str | IO[bytes]]:
    """Yield a file for PyAV; of an object in a store only the parts that are read are fetched."""
    if not source.startswith(_S3):
        with library_path(Path(source)) as name:
            yield name
        return
    with _s3_errors(source):
        file = _store().open_input_file(source.removeprefix(_S3))
    with file:
        yield file


@contextmanager
def local(source: str) -> Iterator[Path]:
    """Yield a local file: the source itself, or a copy of an object in a store."""
    if not source.startswith(_S3):
        yield Path(source)
        return
    with tempfile.TemporaryDirectory(prefix="roadseg-archive-") as folder:
        copy = Path(folder) / f"copy{Path(source).suffix}"
        with (
            _s3_errors(source),
            copy.open("wb") as file,
            _store().open_input_stream(source.removeprefix(_S3)) as stream,
        ):
            shutil.copyfileobj(stream, file, 1 << 22)
        yield copy


def _store() -> Any:
    """Return the S3 store of the environment's credentials, at ``AWS_ENDPOINT_URL`` if given."""
    from pyarrow import fs

    wanted: dict[str, Any] = {"endpoint_override": os.environ.get("AWS_ENDPOINT_URL") or None}
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        wanted["region"] = region
    return fs.S3FileSystem(**wanted)


@contextmanager
def _s3_errors(source: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"source {source} cannot be read ({reason_of(error)}); check the name, the credentials "
            "(AWS_...) and, for another store than AWS, AWS_ENDPOINT_URL"
        ) from error
