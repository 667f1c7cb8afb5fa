"""A loaded bundle and recordings -> its robustness card."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from listen_edge.evaluation.card.figures import Card, Figure, rounded
from listen_edge.evaluation.card.impaired import N_CONDITIONS, N_IMPAIRED, impaired_figures
from listen_edge.evaluation.card.inputs import CardInputs
from listen_edge.evaluation.card.plain import N_QUIET, plain_figures
from listen_edge.evaluation.card.together import N_MIXTURES, NUMBERS, together_figures
from listen_edge.evaluation.questions import BenchmarkError, n_clips
from listen_edge.evaluation.wordings import wording_report

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine

_PARITY = "Parity to float"


def measure_card(
    engine: Engine, inputs: CardInputs, *, on_clip: Callable[[], None] = lambda: None
) -> Card:
    """Ask a bundle everything that a card states, as it was loaded.

    Args:
        on_clip: called at most n_heard(inputs) times.

    Raises:
        AudioError: a recording that cannot be listened to.
        BenchmarkError: the manifest's parity is not what export writes.
        MissingExtraError: pyroomacoustics is not installed.
    """
    started = time.monotonic()
    figures, replies = plain_figures(engine, inputs, on_clip)
    figures += together_figures(engine, inputs, replies, on_clip)
    figures += impaired_figures(engine, inputs, replies, on_clip)
    figures += _wordings(engine)
    figures += inputs.stream
    figures += parity_figures(engine.bundle.manifest.raw.get("parity"))
    manifest = engine.bundle.manifest
    precisions = {f.precision for f in manifest.files if engine.backend in f.backends}
    encoder = ", ".join(sorted(precision for precision in precisions if precision))
    return Card(
        name=manifest.name,
        precision=f"encoder {encoder}, LLM {manifest.gguf.quantization}, {engine.backend}",
        seed=inputs.seed,
        recordings=inputs.recordings,
        questions_sha256=inputs.questions_sha256(),
        seconds=round(time.monotonic() - started, 1),
        figures=tuple(figures),
    )


def n_heard(inputs: CardInputs) -> int:
    """Return how many recordings a card listens to, at most."""
    n_domain = n_clips(inputs.domain)
    n_plain = n_domain + n_clips(inputs.outside) + min(n_domain, N_QUIET)
    return n_plain + len(NUMBERS) * N_MIXTURES + N_CONDITIONS * min(n_domain, N_IMPAIRED)


def parity_figures(rungs: Any) -> list[Figure]:
    """Return what each shipped rung of a manifest's parity loses against the trained networks.

    The first word of a rung's name is its ladder's (the encoder's, the head's), and the first rung
    of each ladder is the trained network.

    Raises:
        BenchmarkError: `rungs` are not what export writes.
    """
    whole: dict[str, float] = {}
    figures = []
    try:
        for rung in rungs or ():
            name, auroc, flips = str(rung["name"]), float(rung["auroc"]), float(rung["flips"])
            ladder = name.partition(" ")[0]
            if ladder in whole:
                lost = rounded(whole[ladder] - auroc)
                figures += [
                    Figure(_PARITY, name, "auroc_lost", lost),
                    Figure(_PARITY, name, "flips", rounded(flips)),
                ]
            whole.setdefault(ladder, auroc)
    except (KeyError, TypeError, ValueError) as err:
        raise BenchmarkError(
            f"the manifest's parity is malformed ({err}); export the bundle again"
        ) from err
    return figures


def _wordings(engine: Engine) -> list[Figure]:
    """Return how many wordings of a question are answered as its bare name."""
    clips = engine.bundle.paths("clip")
    if not clips:
        return []
    report = wording_report(engine, clips)
    row, sizes = f"{report.n_wordings} wordings", (report.n_recordings, report.n_questions)
    share = report.n_equal / report.n_questions
    return [
        Figure("Wordings", row, "answered_alike", rounded(share), *sizes),
        Figure("Wordings", row, "presence_spread", rounded(report.spread), *sizes),
    ]
