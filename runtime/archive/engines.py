"""Engines side by side: each hears a window with one thread, and all cores are busy.

A window's steps are so small that a second thread saves little of its time; a second window beside
it saves nearly all of the other's. Each engine does exactly what one alone would do, so the answers
are the same to the last bit, whatever the number of engines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from types import TracebackType
from typing import TypeVar

from listen_edge.lines.answer import Answer
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening.answering import Answering
from listen_edge.runtime.listening.window import Window

Tag = TypeVar("Tag")
_AHEAD = 4  # windows that wait for each engine: decoding goes on while they are heard


class Engines:
    """Engines of one bundle, questions and gate.

    Args:
        load: gives an engine of one thread.
        n: how many; where a GPU computes, one.
        questions, gate_dbfs: what each window is asked, see Answering.

    Raises:
        BundleError, BackendError: from `load`.
    """

    def __init__(
        self,
        load: Callable[[], Engine],
        n: int,
        questions: Sequence[str],
        *,
        gate_dbfs: float | None = None,
    ) -> None:
        with ExitStack() as stack:
            engines = [stack.enter_context(load())]
            n = n if engines[0].backend == "cpu" else 1
            engines += [stack.enter_context(load()) for _ in range(n - 1)]
            self.first = engines[0]
            self._free: SimpleQueue[Answering] = SimpleQueue()
            for engine in engines:
                one = Answering(engine, "", hearing=None, gate_dbfs=gate_dbfs)
                one.questions = questions
                self._free.put(one)
            self._n_ahead = _AHEAD * n
            self._pool = stack.enter_context(ThreadPoolExecutor(n, "engine"))
            self._stack = stack.pop_all()

    def answer(
        self, windows: Iterable[tuple[Tag, Window | None]]
    ) -> Iterator[tuple[Tag, list[Answer]]]:
        """Yield the answers of each window in turn; without one, none.

        What makes the windows runs here, while those before are heard.
        """
        waiting: deque[tuple[Tag, Future[list[Answer]] | None]] = deque()
        try:
            for tag, window in windows:
                future = None if window is None else self._pool.submit(self._one, window)
                waiting.append((tag, future))
                if len(waiting) > self._n_ahead:
                    yield _taken(waiting)
            while waiting:
                yield _taken(waiting)
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()

    def _one(self, window: Window) -> list[Answer]:
        answering = self._free.get()
        try:
            return answering.of_window(window, window.doubt).answers
        finally:
            self._free.put(answering)

    def close(self) -> None:
        """Wait for what is being heard, and free the engines."""
        self._stack.close()

    def __enter__(self) -> Engines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


def _taken(waiting: deque[tuple[Tag, Future[list[Answer]] | None]]) -> tuple[Tag, list[Answer]]:
    tag, future = waiting.popleft()
    return tag, [] if future is None else future.result()
