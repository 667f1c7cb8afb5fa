"""Names that come from outside, as they may stand on one line of a terminal or a log."""

from __future__ import annotations

import os
from pathlib import PurePath

from listen_edge.urls import is_url, without_secrets


def printable(name: str | PurePath) -> str:
    r"""Return a name with what could break or colour a line escaped: "new\nline", "siren\xff".

    Bytes of a file name that are not UTF-8 (PEP 383's surrogates) are written as they are on disk.
    A URL, though it be where a file was expected, loses its password.
    """
    text = os.fspath(name)
    return escaped(without_secrets(text) if is_url(text) else text)


def escaped(text: str) -> str:
    """Return a text of any origin with what could break or colour a line escaped."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if 0xDC80 <= ord(character) <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
