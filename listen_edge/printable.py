"""Names that come from outside, as they may stand on one line of a terminal or a log."""

from __future__ import annotations

import os
from pathlib import PurePath


def printable(name: str | PurePath) -> str:
    r"""Return a name with what could break or colour a line escaped: "new\nline", "siren\xff".

    Bytes of a file name that are not UTF-8 (PEP 383's surrogates) are written as they are on disk.
    """
    return "".join(_escaped(character) for character in os.fspath(name))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if 0xDC80 <= ord(character) <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
