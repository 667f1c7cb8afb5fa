"""Does this device answer as the one that made the bundle?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from listen_edge.audio import read_audio

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine

# Presence may differ between vector units; a state must not, unless presence is that close.
_TOLERANCE = 0.1


def compare_examples(engine: Engine) -> tuple[list[str], int]:
    """Answer the examples of the engine's bundle again.

    Returns:
        The differences in words, and how many answers were compared.
    """
    expected = [e for p in engine.bundle.paths("expected") for e in json.loads(p.read_text())]
    differences = []
    for clip in dict.fromkeys(entry["clip"] for entry in expected):
        recorded = {e["question"]: e["presence"] for e in expected if e["clip"] == clip}
        for answer in engine.ask(read_audio(engine.bundle.folder / clip), list(recorded)):
            presence, wanted = answer.presence or 0.0, recorded[answer.question]
            if abs(presence - wanted) > _TOLERANCE:
                differences.append(
                    f"{clip} {answer.question} {presence:.2f}, recorded {wanted:.2f}"
                )
    return differences, len(expected)
