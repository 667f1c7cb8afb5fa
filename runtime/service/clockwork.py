"""Something to do again and again, in a thread of its own, until it is stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Clockwork:
    """Calls something at an interval; what it raises is told in the log, and it goes on.

    Args:
        name: of the thread.
        every_s: from the end of one call to the next.
        call: what is done.
    """

    def __init__(self, name: str, every_s: float, call: Callable[[], object]) -> None:
        self._every_s, self._call = every_s, call
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Call it in every_s for the first time."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Call it no more, and wait for a call that goes on."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self._call()
            except Exception:
                logger.exception("%s: a fault of listen-edge, please report it", self._thread.name)
