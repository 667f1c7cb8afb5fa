"""The LLaMA on the device: its session, its GGUF file, and what is kept of it between starts.

Whatever is imported from here, llama.cpp is loaded here first, and set up for it.
"""

from __future__ import annotations

import os

from listen_edge.errors import MissingExtraError

# Threads that wait for each other turn in a loop, by default for longer than a scheduler's time
# slice: on two cores, one shared with another process, a window of 0.2 s took 3 to 17 s. After
# 1,000 turns they sleep, which costs nothing measurable alone (docs/performance.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # libgomp reads it when it is loaded

try:
    import llama_cpp  # noqa: F401
except ImportError as err:  # pragma: no cover - a base dependency
    raise MissingExtraError("llama-cpp-python", "cpu") from err
