"""listen-edge: ask an audio-aware LLM on the device which sounds are present, and which are not.

engine = listen_edge.load("tiny")
answers = engine.ask(samples, ["siren?", "dog barking?"], sample_rate=16000)
answers[0].presence, answers[0].state
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from listen_edge.errors import ListenEdgeError

if TYPE_CHECKING:
    from listen_edge.lines.answer import Answer
    from listen_edge.runtime.engine import Engine, load
    from listen_edge.runtime.listening.listener import listen

# From 1.32 on, onnxruntime reports its use over the network unless told otherwise before it is
# imported. Nothing leaves the device.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
__all__ = ["Answer", "Engine", "ListenEdgeError", "__version__", "listen", "load"]


def __getattr__(name: str) -> Any:
    """Import the engine and its backends when they are first used: --help needs neither."""
    if name in ("Engine", "load"):
        from listen_edge.runtime import engine

        return getattr(engine, name)
    if name == "listen":
        from listen_edge.runtime.listening.listener import listen

        return listen
    if name == "Answer":
        from listen_edge.lines.answer import Answer

        return Answer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
