"""The newest lines for whoever looks on: bounded, so that a slow reader loses lines, not listening.

For the page's stream and JSON lines; events that must not be lost come from the store.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType

from listen_edge.runtime.listening.listener import Line

N_LINES = 256


class Subscription:
    """Lines as they come, from any thread; closed by its reader.

    Args:
        kinds: the classes of line that are wanted.
        n_lines: that may wait; the oldest is dropped for a newer one.
        on_close: called once, when it is closed.

    Attributes:
        n_dropped: lines that the reader has missed.
        on_news: called, from any thread, when there is a line after there was none, and when it
            is closed; for a reader that does not wait in `get`. Never waits.
    """

    def __init__(
        self,
        kinds: tuple[type[Line], ...],
        *,
        n_lines: int = N_LINES,
        on_close: Callable[[Subscription], None] = lambda subscription: None,
    ) -> None:
        self._kinds, self._on_close = kinds, on_close
        self._lines: deque[Line] = deque(maxlen=n_lines)
        self._is_closed = False
        self._changed = threading.Condition()
        self.n_dropped = 0
        self.on_news: Callable[[], None] = lambda: None

    def offer(self, line: Line) -> None:
        """Take a line if it is wanted; never waits."""
        if not isinstance(line, self._kinds):
            return
        with self._changed:
            was_empty = not self._lines
            self.n_dropped += len(self._lines) == self._lines.maxlen
            self._lines.append(line)
            self._changed.notify_all()
        if was_empty:
            self.on_news()

    def get(self, timeout_s: float) -> Line | None:
        """Return the next line; None if none came in time, or after close."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._is_closed, timeout_s)
            return self._lines.popleft() if self._lines else None

    def lines(self, timeout_s: float) -> Iterator[Line]:
        """Yield lines until none comes for timeout_s, or it is closed."""
        while (line := self.get(timeout_s)) is not None:
            yield line

    @property
    def is_closed(self) -> bool:
        """Whether no more lines come: the service has ended, or the reader closed it."""
        return self._is_closed

    def close(self) -> None:
        """Let go of the lines and wake the reader. May be called twice."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._lines.clear()
            self._changed.notify_all()
        self.on_news()
        self._on_close(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


class Subscriptions:
    """All who look on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: tuple[Subscription, ...] = ()
        self._is_closed = False

    def add(self, kinds: tuple[type[Line], ...]) -> Subscription:
        """Return a new one; after close, one that is closed."""
        subscription = Subscription(kinds, on_close=self._remove)
        with self._lock:
            is_closed = self._is_closed
            self._all += (subscription,)
        if is_closed:
            subscription.close()
        return subscription

    def tell(self, line: Line) -> None:
        """Offer a line to all; never waits for one."""
        for subscription in self._all:
            subscription.offer(line)

    def close(self) -> None:
        """Close all."""
        with self._lock:
            self._is_closed = True
        for subscription in self._all:
            subscription.close()

    def _remove(self, subscription: Subscription) -> None:
        with self._lock:
            self._all = tuple(one for one in self._all if one is not subscription)
