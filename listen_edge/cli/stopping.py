"""Signals: Ctrl-C, SIGTERM and SIGHUP end the program within a second at any moment, SIGUSR1 swaps.

Events are closed before the end. SIGUSR1 and not SIGHUP, which says that a terminal has gone.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

DEADLINE_S = 0.7
_SWAP, _HANGUP = (getattr(signal, name, None) for name in ("SIGUSR1", "SIGHUP"))  # not on Windows
_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 0, _HANGUP: 129}


class StopSignals:
    """While entered, a signal sets `exit_code` and calls `on_stop`; at the deadline it ends all.

    Python runs its handlers between two calls, and a call into a model or a blocked pipe may take
    long. A thread of its own therefore sees the signal too, and ends the process at the deadline.
    Nothing is raised: an exception would be lost in llama.cpp's callbacks.

    Attributes:
        on_stop: asks the main thread to come to its end.
        on_deadline: frees what would outlive the process.
        on_swap: reads the bundle's adapter again.
        exit_code: None without a signal; 130 after Ctrl-C, as the shell expects; 0 after SIGTERM,
            which is how a service is asked to end; 129 after SIGHUP, which asks for nothing: the
            shell's own code, by which a supervisor sees that listening is to begin again. Under
            nohup SIGHUP stays ignored.
    """

    def __init__(self) -> None:
        self.on_stop: Callable[[], None] | None = None
        self.on_deadline: Callable[[], None] | None = None
        self.on_swap: Callable[[], None] | None = None
        self.exit_code: int | None = None

    def __enter__(self) -> StopSignals:
        self._wake, signalled = socket.socketpair()
        signalled.setblocking(False)
        self._signalled = signalled
        self._is_over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="stopping", daemon=True)
        self._watcher.start()
        handlers = {signal.SIGINT: self._handle, signal.SIGTERM: self._handle}
        if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
            handlers[_HANGUP] = self._handle
        if _SWAP is not None:
            handlers[_SWAP] = self._handle_swap
        self._before = {number: signal.signal(number, to) for number, to in handlers.items()}
        self._wakeup_before = signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._is_over.set()
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._signalled.close()
        self._watcher.join()
        self.on_stop = self.on_deadline = self.on_swap = None
        if isinstance(err, OSError) and self.exit_code == _EXIT_CODES[_HANGUP]:
            sys.exit(self.exit_code)  # the terminal has gone, and the last lines with it

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.exit_code = _EXIT_CODES[number]
        if self.on_stop is not None:
            self.on_stop()

    def _handle_swap(self, number: int, frame: FrameType | None) -> None:
        if self.on_swap is not None:
            self.on_swap()

    def _watch(self) -> None:
        with self._wake:
            while received := self._wake.recv(1):
                if received[0] not in _EXIT_CODES:
                    continue
                if not self._is_over.wait(DEADLINE_S):
                    if self.on_deadline is not None:
                        self.on_deadline()
                    os._exit(_EXIT_CODES[received[0]])
                return
