"""Damage to files and to JSON: hypothesis draws steps, which are applied in turn."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

_SIZES = (
    *(0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7F00_0000, 0x7FFF_F000, 0x7FFF_FFFF),
    *(0x8000_0000, 0xFFFF_FFFF, 1 << 40, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1),
)
_WHOLE = 1 << 16  # of which a place is a part
_HEAD_BYTES = 256
_MARK = re.compile(rb"[A-Za-z][A-Za-z0-9]{2}[A-Za-z0-9 ]")  # of a chunk, a box or a tag
_MAGICS = (
    *(b"RIFF\xff\xff\xff\x7fWAVEfmt ", b"RF64\xff\xff\xff\xffWAVEds64", b"FORM\0\0\x10\0AIFF"),
    *(b"FORM\0\0\x10\0AIFC", b"caff\0\1\0\0", b".snd\0\0\0\x18", b"fLaC\0\0\0\x22", b"OggS\0\2"),
    *(b"ID3\4\0\0\0\0\0\x0a", b"\xff\xfb\x90\x64", b"\xff\xf1\x50\x80", b"\x1aE\xdf\xa3", b"wvpk"),
    *(b"\0\0\0\x18ftypM4A ", b"0&\xb2u\x8ef\xcf\x11", b"#!AMR\n", b"NIST_1A\n   1024\n", b"TTA1"),
    *(
        b"riff.\x91\xcf\x11\xa5\xd6(\xdb",
        b"Creative Voice File\x1a",
        b"MATLAB 5.0 MAT-file",
        b"G\x40",
    ),
)


@dataclass(frozen=True)
class Step:
    """One damage: `kind` is a function of below, `at` and `to` are places in 1/65536 of the data.

    Attributes:
        on_head: count `at` within the first bytes alone, where the sizes stand.
        size: of a field, or bits to turn.
    """

    kind: str
    at: int
    to: int
    on_head: bool
    size: int


def _cut(data: bytes, at: int, to: int, size: int, other: bytes) -> bytes:
    return data[:at]


def _behead(data: bytes, at: int, to: int, size: int, other: bytes) -> bytes:
    return data[at:]


def _remove(data: bytes, at: int, to: int, size: int, other: bytes) -> bytes:
    return data[: min(at, to)] + data[max(at, to) :]


def _flip(data: bytes, at: int, to: int, size: int, other: bytes) -> bytes:
    flipped = bytes(byte ^ (size & 0xFF or 1) for byte in data[at : at + 1])
    return data[:at] + flipped + data[at + 1 :]


def _blank(data: bytes, at: int, to: int, size: int, other: bytes) -> bytes:
    return data[:at] + bytes([size & 0xFF]) * (abs(to - at) // 8) + data[at + abs(to - at) // 8 :]


def _resize(data: bytes, at: int, to: int, size: int, other: bytes) -> bytes:
    width = (1, 2, 4, 8)[to % 4]
    field = (size % (1 << 8 * width)).to_bytes(width, ("little", "big")[to // 4 % 2])
    marks = [mark.end() for mark in _MARK.finditer(data[:4096])]
    at = marks[at % len(marks)] if marks and to // 8 % 2 else at
    return data[:at] + field + data[at + width :]


def _splice(data: bytes, at: int, to: int, size: int, other: bytes) -> bytes:
    return data[:at] + other[min(at, len(other)) : max(at, to)] + data[at:]


def _swap(data: bytes, at: int, to: int, size: int, other: bytes) -> bytes:
    """Exchange two chunks, or what lies between their marks."""
    marks = [mark.start() for mark in _MARK.finditer(data[: 1 << 16])]
    if len(marks) < 3:
        return data[at:] + data[:at]
    first, middle, end = sorted(marks[place % len(marks)] for place in (at, to, at ^ to))
    return data[:first] + data[middle:end] + data[first:middle] + data[end:]


def _nest(data: bytes, at: int, to: int, size: int, other: bytes) -> bytes:
    return other[:at] + data


def _chain(data: bytes, at: int, to: int, size: int, other: bytes) -> bytes:
    return data + other


def _magic(data: bytes, at: int, to: int, size: int, other: bytes) -> bytes:
    return _MAGICS[to % len(_MAGICS)] + data[at:]


_KINDS = {
    step.__name__.removeprefix("_"): step
    for step in (
        *(_cut, _behead, _remove, _flip, _blank, _resize, _splice, _swap, _nest, _chain, _magic),
    )
}
_places = st.integers(0, _WHOLE)
steps = st.builds(
    Step, st.sampled_from(sorted(_KINDS)), _places, _places, st.booleans(), st.sampled_from(_SIZES)
)


def damaged(files: Mapping[str, bytes]) -> st.SearchStrategy[bytes]:
    """Return files with up to four damages; a damage may take a part of another file."""
    names = st.sampled_from(sorted(files))
    return st.builds(
        lambda name, other, drawn: apply_steps(files[name], drawn, files[other]),
        *(names, names, st.lists(steps, max_size=4)),
    )


def apply_steps(data: bytes, drawn: list[Step], other: bytes) -> bytes:
    """Return the data after all steps."""
    for step in drawn:
        at = step.at * (min(len(data), _HEAD_BYTES) if step.on_head else len(data)) // _WHOLE
        data = _KINDS[step.kind](data, at, step.to * len(data) // _WHOLE, step.size, other)
    return data


with_a_magic = st.builds(bytes.__add__, st.sampled_from(_MAGICS), st.binary(max_size=400))


_RAW = {  # JSON that json.dumps does not write
    "<deep>": "[" * 100_000 + "]" * 100_000,
    "<deep object>": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "<infinity>": "1e999",
    "<long>": "1" * 10_000,
    "<nan>": "NaN",
}
_values = st.one_of(
    st.sampled_from(
        [None, True, False, 0, -1, 1, 0.5, 1e308, 1 << 31, 10**30, 10**400, [], {}, [[]], [None]]
    ),
    st.sampled_from(
        ["", ".", "..", "/", "a\0b", "a\nb", "../x", "x" * 5000, "{}", "{0.__class__}"]
    ),
    st.sampled_from(["__main__", "os", "\ud800", "{", "clips", "manifest.json", "a/b/c", *_RAW]),
    st.text(max_size=8),
    st.floats(),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@dataclass(frozen=True)
class Edit:
    """One place of a JSON document changed: `at` counts its places, "delete" leaves it out."""

    at: int
    action: str
    value: Any


edits = st.lists(
    st.builds(Edit, st.integers(0, 999), st.sampled_from(["set", "set", "delete", "add"]), _values),
    max_size=3,
)


def edited(document: Any, drawn: list[Edit]) -> str:
    """Return a document's JSON text after all edits."""
    root = [copy.deepcopy(document)]
    for edit in drawn:
        places, value = _places_in(root), copy.deepcopy(edit.value)
        holder, key = places[edit.at % len(places)]
        if edit.action == "set" or holder is root:
            holder[key] = value
        elif edit.action == "delete":
            del holder[key]
        elif isinstance(holder, list):
            holder.append(value)
        else:
            holder[str(value)[:9]] = value
    text = json.dumps(root[0])
    for mark, raw in _RAW.items():
        text = text.replace(f'"{mark}"', raw)
    return text


def _places_in(root: list[Any]) -> list[tuple[Any, Any]]:
    """Return (holder, key) of every value in a document; a manifest has thousands."""
    places: list[tuple[Any, Any]] = []

    def visit(holder: Any) -> None:
        for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
            places.append((holder, key))
            if isinstance(value, dict | list):
                visit(value)

    visit(root)
    return places
