"""What is listened for, where, and when an event of it may begin."""

from __future__ import annotations

from listen_edge.errors import ListenEdgeError


class UnknownIdError(ListenEdgeError):
    """No source, question or output has this id."""
