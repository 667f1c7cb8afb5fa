"""Does this device answer as the one that made the bundle?"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from listen_edge.audio import read_audio
from listen_edge.errors import BackendError, BundleError

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine

# Presence may differ between vector units; a state must not, unless presence is that close.
_TOLERANCE = 0.1
_QUIET_RMS = 10 ** (-55 / 20)  # a quiet room's noise, above the gate of what cannot be heard


def compare_examples(engine: Engine) -> tuple[list[str], int]:
    """Answer the examples of the engine's bundle again.

    Returns:
        The differences in words, and how many answers were compared.
    """
    expected = _expected(engine)
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


def self_test(engine: Engine) -> str | None:
    """Answer an example of the bundle and a quiet room, which must differ.

    One that is recorded as present is asked about; the quiet room is faint noise, since zeros are
    never listened to. Costs two windows of one question.

    Returns:
        Both answers in words; None if the bundle has no example that is recorded as present.

    Raises:
        BackendError, BundleError: they do not differ, so the sound does not reach the answers.
    """
    best = max(_expected(engine), key=lambda entry: float(entry["presence"]), default=None)
    if best is None or best["presence"] < 0.5:
        return None
    samples, asked = read_audio(engine.bundle.folder / best["clip"]), [best["question"]]
    noise = np.random.default_rng(0).normal(0, _QUIET_RMS, len(samples)).astype(np.float32)
    [example], [quiet] = engine.ask(samples, asked), engine.ask(noise, asked)
    heard, unheard = (math.nan if a.presence is None else a.presence for a in (example, quiet))
    found = f"{best['question']} {heard:.2f} in {best['clip']}, {unheard:.2f} in a quiet room"
    if heard - unheard > _TOLERANCE:
        return found
    message = f"{engine.bundle.id}: {engine.backend} does not hear its own example ({found}); "
    if engine.backend != "cpu":
        raise BackendError(f"{message}use --backend cpu")
    raise BundleError(
        f"{message}copy or export the bundle again, or try other versions of onnxruntime and "
        "llama-cpp-python"
    )


def _expected(engine: Engine) -> list[dict[str, Any]]:
    return [e for p in engine.bundle.paths("expected") for e in json.loads(p.read_text())]
