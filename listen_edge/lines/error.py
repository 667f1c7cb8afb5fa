"""Errors: why a command that writes JSON lines has ended; people read the same on stderr."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from listen_edge.lines import JsonLine, LineType


@dataclass(frozen=True)
class ErrorLine(JsonLine):
    """The last line of a command that failed.

    Attributes:
        message: of the error, see errors.py.
    """

    TYPE: ClassVar[LineType] = "error"

    message: str
