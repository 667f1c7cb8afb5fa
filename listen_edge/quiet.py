"""Code of others that writes to the process's stderr past Python, silenced while it runs."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_stderr_lock = threading.Lock()


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send what C code writes to stderr nowhere; one thread at a time."""
    with _stderr_lock:
        if sys.stderr is not None:
            sys.stderr.flush()
        try:
            kept = os.dup(2)
        except OSError:  # it is closed, and so quiet
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
