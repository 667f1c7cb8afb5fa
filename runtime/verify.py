"""Does this device answer as the one that made the bundle?"""

from __future__ import annotations

import json

from listen_edge.audio import read_audio
from listen_edge.runtime.engine import Engine

# Presence may differ between vector units; a state must not, unless presence is that close.
_TOLERANCE = 0.1


def compare_examples(engine: Engine) -> tuple[list[str], int]:
    """Answer the examples of the engine's bundle again.

    Returns:
        The differences in words, and how many answers were compared.
    """
    (expected_path,) = engine.bundle.paths("expected")
    expected = json.loads(expected_path.read_text())
    differences = []
    for entry in expected:
        samples = read_audio(engine.bundle.folder / entry["clip"])
        (answer,) = engine.ask(samples, [entry["question"]])
        presence = answer.presence or 0.0
        if abs(presence - entry["presence"]) > _TOLERANCE:
            differences.append(
                f"{entry['clip']} {entry['question']} {presence:.2f}, recorded "
                f"{entry['presence']:.2f}"
            )
    return differences, len(expected)
