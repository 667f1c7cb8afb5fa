"""Is a card worse than the one it replaces, by more than its sampling explains?"""

from __future__ import annotations

from dataclasses import dataclass

from listen_edge.errors import BundleError
from listen_edge.evaluation.card.figures import MIN_CLIPS, SOURCES, Card, Figure
from listen_edge.evaluation.card.markdown import value_text


@dataclass(frozen=True)
class Tolerance:
    """How much worse a kind of figure may become.

    Attributes:
        by: in the figure's own unit.
        is_better: "higher" or "lower".
        because: the reason for the size.
    """

    by: float
    is_better: str
    because: str


# Both cards hear the same recordings and questions, so their difference varies less than either.
TOLERANCES = {
    "accuracy": Tolerance(0.02, "higher", "400 questions: one standard error is 1.2 points"),
    "balanced_accuracy": Tolerance(0.03, "higher", "a source may have but 40 recordings"),
    "yes_rate": Tolerance(0.03, "lower", "of 400 answers about sound that is not there, 12"),
    "unanswered": Tolerance(0.05, "lower", "two of a source's 40 recordings"),
    "tpr": Tolerance(0.05, "higher", "120 to 240 sounds: one standard error is 3 to 4 points"),
    "fpr": Tolerance(0.03, "lower", "240 names that are not there: one standard error is 2 points"),
    "auroc": Tolerance(
        0.02, "higher", "40 recordings of a source: a standard error is 2 to 3 points"
    ),
    "auroc_lost": Tolerance(0.02, "lower", "100 recordings: the loss varies by about 1 point"),
    "ece": Tolerance(0.03, "lower", "400 questions in ten bins: chance alone makes 1 to 2 points"),
    "answered_alike": Tolerance(0.0, "higher", "nothing is drawn: the parser decides"),
    "false_alarms_per_day": Tolerance(2.0, "lower", "one alarm more in twelve hours"),
    "upper_bound_per_day": Tolerance(4.0, "lower", "what one alarm more in twelve hours does"),
    "flips": Tolerance(0.02, "lower", "the export itself stops at 5 %"),
}
_AS_IT_IS = "the recording"  # whose share of yes is no fault: half of its names are there


def refuse_worse(new: Card, old: Card) -> None:
    """Check that no figure fell by more than its tolerance.

    Raises:
        BundleError: every figure that did, from what to what; or cards of different recordings.
    """
    refuse_unlike(new.questions_sha256, old)
    fallen = fallen_figures(new, old)
    if fallen:
        raise BundleError(
            f"{new.name}: worse than {old.name}, which it replaces: {'; '.join(fallen)}; train "
            "further, or accept it with --accept-worse"
        )


def refuse_unlike(questions_sha256: str, old: Card) -> None:
    """Check that a card asks the same questions about the same recordings as another.

    Raises:
        BundleError: it does not.
    """
    if questions_sha256 != old.questions_sha256:
        raise BundleError(
            f"{old.name}: its card is of other recordings ({'; '.join(old.recordings)}); measure "
            "it again on these with listen-edge eval card --out card.json, and replace that file"
        )


def fallen_figures(new: Card, old: Card) -> list[str]:
    """Return in words the figures of the old card that the new one lacks or has much worse."""
    values = {figure.name: figure.value for figure in new.figures}
    fallen = []
    for figure in old.figures:
        tolerance, value = TOLERANCES.get(figure.kind), values.get(figure.name)
        if tolerance is None or figure.value is None or not _is_telling(figure):
            continue
        was = f"{figure.name} {value_text(figure.kind, figure.value)}"
        if value is None:
            fallen.append(f"{was} -> not measured")
            continue
        worse = figure.value - value if tolerance.is_better == "higher" else value - figure.value
        if worse > tolerance.by + 1e-9:
            fallen.append(
                f"{was} -> {value_text(figure.kind, value)} (may be worse by "
                f"{value_text(figure.kind, tolerance.by)})"
            )
    return fallen


def _is_telling(figure: Figure) -> bool:
    """Tell whether a figure is a merit or fault, and counted over enough to be compared."""
    if figure.section == SOURCES:
        return (figure.n_clips or 0) >= MIN_CLIPS
    return (figure.kind, figure.row) != ("yes_rate", _AS_IT_IS)
