"""The card as data: figures in sections, each with what it was counted over, and its JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from listen_edge.bundle.opening import read_manifest
from listen_edge.errors import BundleError
from listen_edge.evaluation.metrics import presence_metrics
from listen_edge.evaluation.questions import Question, Reply, n_clips
from listen_edge.json_fields import malformed_fields, parse_json

PROTOCOL = "listen-edge eval card"
MIN_CLIPS = 10  # of a source, below which it cannot be called the worst
SOURCES = "Sources"
_MAX_BYTES = 1 << 20
_OF_ANSWERED = ("auroc", "ece", "balanced_accuracy")


@dataclass(frozen=True)
class Kind:
    """How a kind of figure is written.

    Attributes:
        title: of its column.
        unit: "%" of a share, "points", "number" of something counted, or "" with three digits.
    """

    title: str
    unit: str = "%"


KINDS = {  # in the order of their columns
    "accuracy": Kind("accuracy"),
    "yes_rate": Kind("said yes"),
    "unknown_rate": Kind("unknown"),
    "tpr": Kind("heard of those there"),
    "fpr": Kind("heard of those not there"),
    "auroc": Kind("AUROC", ""),
    "auroc_lost": Kind("AUROC lost", "points"),
    "ece": Kind("ECE", ""),
    "balanced_accuracy": Kind("balanced accuracy"),
    "unanswered": Kind("not answered"),
    "answered_alike": Kind("answered as the bare name"),
    "presence_spread": Kind("presence differs by at most", ""),
    "false_alarms_per_day": Kind("false alarms per day", "number"),
    "upper_bound_per_day": Kind("95 % bound per day", "number"),
    "hours": Kind("hours", "number"),
    "flips": Kind("answers that change"),
}


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        section, row: what was heard and asked.
        kind: what was measured, a key of KINDS.
        value: shares in [0, 1]; None where it does not exist, as an AUROC without absent sounds.
        n_clips, n_questions: that it was counted over; None where that is not known.
    """

    section: str
    row: str
    kind: str
    value: float | None
    n_clips: int | None = None
    n_questions: int | None = None

    @property
    def name(self) -> str:
        """What it is called in one line."""
        return f"{self.section}, {self.row}: {self.kind}"


@dataclass(frozen=True)
class Card:
    """Everything measured of a bundle.

    Attributes:
        name: of the bundle.
        precision: of the encoder graph and the LLM, and the backend they ran on.
        seed: of what was drawn.
        recordings: what was listened to, with the number of recordings.
        questions_sha256: of everything asked, so that only like cards are compared.
        seconds: that measuring took.
    """

    name: str
    precision: str
    seed: int
    recordings: tuple[str, ...]
    questions_sha256: str
    seconds: float
    figures: tuple[Figure, ...]

    def worst_source(self) -> Figure | None:
        """Return the lowest AUROC of a source with MIN_CLIPS recordings or more."""
        aurocs = [
            figure
            for figure in self.figures
            if (figure.section, figure.kind) == (SOURCES, "auroc")
            and figure.value is not None
            and (figure.n_clips or 0) >= MIN_CLIPS
        ]
        return min(aurocs, key=lambda figure: figure.value or 0.0, default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the entry of a manifest's `eval`."""
        worst = self.worst_source()
        return {
            "protocol": PROTOCOL,
            **asdict(self),
            "worst_source": None if worst is None else worst.row,
        }


def parse_card(content: Any, where: str) -> Card:
    """Return the card of its JSON object.

    Raises:
        BundleError: a missing or malformed field; `where` it was read is named.
    """
    try:
        figures = tuple(Figure(**figure) for figure in content["figures"])
        fields = {
            name: value
            for name, value in content.items()
            if name not in ("protocol", "worst_source", "figures", "recordings")
        }
        card = Card(**fields, recordings=tuple(content["recordings"]), figures=figures)
    except (KeyError, TypeError, AttributeError) as err:
        raise BundleError(
            f"{where}: not a robustness card ({err}); measure it again with {PROTOCOL}"
        ) from err
    malformed = malformed_fields(card) or [f.kind for f in figures if f.kind not in KINDS]
    if malformed:
        raise BundleError(
            f"{where}: {', '.join(malformed)}: missing from, or malformed in, a robustness card; "
            f"measure it again with {PROTOCOL}"
        )
    return card


def card_of(manifest: dict[str, Any], where: str) -> Card | None:
    """Return the card in a manifest, None without one; errors as for parse_card."""
    entries = manifest.get("eval", [])
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("protocol") == PROTOCOL:
            return parse_card(entry, where)
    return None


def read_card(bundle_or_file: Path) -> Card:
    """Return the card of a bundle, or one that `eval card --out` wrote.

    Raises:
        BundleError: neither, or a bundle without a card.
    """
    if bundle_or_file.suffix == ".json":
        try:
            with bundle_or_file.open("rb") as file:
                content = parse_json(file.read(_MAX_BYTES))
        except (OSError, ValueError) as err:
            raise BundleError(
                f"{bundle_or_file}: cannot be read ({err}); expected what {PROTOCOL} --out wrote"
            ) from err
        return parse_card(content, str(bundle_or_file))
    card = card_of(read_manifest(str(bundle_or_file)).raw, str(bundle_or_file))
    if card is None:
        raise BundleError(
            f"{bundle_or_file}: has no robustness card; measure one with {PROTOCOL} --bundle "
            f"{bundle_or_file} --out card.json, and give that file instead"
        )
    return card


def counted(
    section: str,
    row: str,
    kinds: Sequence[str],
    questions: Sequence[Question],
    replies: Sequence[Reply],
) -> list[Figure]:
    """Return the figures of these kinds over some replies, none if there are none.

    An answer without a presence is no yes. AUROC, ECE and balanced accuracy are over the others,
    and do not exist where there are none.
    """
    if not questions:
        return []
    is_present = np.array([question.is_present for question in questions])
    presence = np.array([np.nan if r.presence is None else r.presence for r in replies])
    is_answered = ~np.isnan(presence)
    of_all = presence_metrics(is_present, np.nan_to_num(presence))
    values = {
        "accuracy": of_all.accuracy,
        "yes_rate": of_all.yes_rate,
        "tpr": of_all.recall_yes,
        "fpr": 1 - of_all.recall_no,
        "unknown_rate": float(np.mean([reply.state == "unknown" for reply in replies])),
        "unanswered": 1 - float(is_answered.mean()),
        **dict.fromkeys(_OF_ANSWERED, math.nan),
    }
    if is_answered.any():
        of_answered = presence_metrics(is_present[is_answered], presence[is_answered])
        values |= {kind: getattr(of_answered, kind) for kind in _OF_ANSWERED}
    sizes = n_clips(questions), len(questions)
    return [Figure(section, row, kind, rounded(values[kind]), *sizes) for kind in kinds]


def rounded(value: float) -> float | None:
    """Return a figure as it is kept: four digits, None if it does not exist."""
    return None if math.isnan(value) else round(value, 4)
