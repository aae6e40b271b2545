"""Damage to files: deterministic, from a seed."""

from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

#: Values that JSON can contain instead of the right one.
_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63, 10**30, -(10**30), 1e308, float("nan"), float("inf"), 0.5,
    "", "x", "x" * 100_000, "../../outside", "/etc/passwd", "\x1b[31m\u202e\x00", "\ud800", [], {},
    [[]], [None], [1, 2, 3], {"": {}}, [0] * 1000, {"a": "b"},
)  # fmt: skip
_BYTES = (
    b"",
    b"\x00",
    b"\xff" * 9,
    b"\x00" * 4096,
    b"{",
    b"[" * 20_000,
    b"PK\x03\x04",
    b"\x80\x04",
)

Mutation = Callable[[bytes, random.Random], bytes]


def damage_bytes(content: bytes, dice: random.Random) -> bytes:
    """Flip, cut, repeat, insert or overwrite bytes at one to four places."""
    data = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at = dice.randrange(len(data) + 1)
        length = dice.choice((1, 2, 8, 64, 1024))
        kind = dice.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length] * dice.choice((1, 2, 50))
        elif kind == 4:
            data[at:at] = dice.choice(_BYTES)
        else:
            data[at : at + length] = dice.randbytes(length)
    return bytes(data)


def damage_json(content: bytes, dice: random.Random) -> bytes:
    """Replace, remove or add values of a document, or damage its bytes."""
    if dice.random() < 0.2:
        return damage_bytes(content, dice)
    document = json.loads(content)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        document = _changed(document, dice)
    text = json.dumps(document)
    if dice.random() < 0.05:
        text = text.replace(":", ":" + "[" * 50_000, 1)
    if dice.random() < 0.05:
        text = text.replace("1", "1" * 5000, 1)
    return text.encode()


def _changed(document: Any, dice: random.Random) -> Any:
    """Change one value, each equally likely."""
    places = list(_places(document)) if isinstance(document, dict | list) else []
    if not places or dice.random() < 0.02:
        return _value(dice)
    owner, key = dice.choice(places)
    kind = dice.randrange(5)
    if kind == 0:
        del owner[key]
    elif kind == 1 and isinstance(owner, dict):
        owner[str(dice.choice(_VALUES))[:50]] = _value(dice)
    elif kind == 2:
        other, there = dice.choice(places)
        if there in other if isinstance(other, dict) else there < len(other):
            owner[key] = json.loads(json.dumps(other[there]))
    else:
        owner[key] = _value(dice)
    return document


def _value(dice: random.Random) -> Any:
    return copy.deepcopy(dice.choice(_VALUES))


def _places(document: Any) -> Any:
    """Yield each container with each of its keys."""
    waiting = [document]
    while waiting:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        for key in keys:
            yield one, key
            if isinstance(one[key], dict | list):
                waiting.append(one[key])


def damage_zip(members: dict[str, Mutation]) -> Mutation:
    """Make a mutation that damages members of a zip file, or its bytes.

    Args:
        members: how each is damaged; others by their bytes.
    """

    def damage(content: bytes, dice: random.Random) -> bytes:
        if dice.random() < 0.3:
            return damage_bytes(content, dice)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = {name: archive.read(name) for name in archive.namelist()}
        name = dice.choice(sorted(found))
        kind = dice.randrange(8)
        if kind == 0:
            del found[name]
        elif kind == 1:
            found[dice.choice(("../outside", "/tmp/outside", "x" * 300))] = b"outside"
        elif kind == 2:
            found[name] = bytes(1 << 26)  # unpacks to a large file
        else:
            found[name] = members.get(name, damage_bytes)(found[name], dice)
        packed = io.BytesIO()
        method = dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
        with zipfile.ZipFile(packed, "w", method) as archive:
            for name, data in found.items():
                archive.writestr(name, data)
        return packed.getvalue()

    return damage


def damage_text(content: bytes, dice: random.Random) -> bytes:
    """Damage lines of text, or its bytes."""
    if dice.random() < 0.3:
        return damage_bytes(content, dice)
    lines = content.decode().splitlines()
    strange = (
        "", " " * 100_000, "x" * 1_000_000, "road 1,2", "a 999,1,1", "void", "\x00", "\x1b[2J\x07",
        "1 2 3 4 5", "-", "é\u202e", "9" * 5000, "a [1,2,3", "#", "a\tb\tc", "a 1,1," + "9" * 5000,
    )  # fmt: skip
    at = dice.randrange(len(lines) + 1)
    if dice.random() < 0.5:
        lines[at:at] = [dice.choice(strange)] * dice.choice((1, 1, 2, 300))
    else:
        lines[at : at + 1] = [dice.choice(strange)]
    return "\n".join(lines).encode()
