"""Figures of every benchmark as one kind of report: a table for people, or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from listen_edge.evaluation.metrics import PresenceMetrics, reply_metrics
from listen_edge.evaluation.official import official_figures, official_reading
from listen_edge.evaluation.questions import Question, Reply

_PLAIN = ("n_questions", "auroc", "ece")  # all other metrics are shown in per cent


@dataclass(frozen=True)
class Report:
    """One column of a table.

    Attributes:
        name: of the column.
        about: what was asked, for JSON.
        extra: figures beside the metrics -> value and unit: "%" (of a share), "points" or "".
    """

    name: str
    metrics: PresenceMetrics
    about: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, tuple[float, str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; figures that do not exist are null."""
        figures = {
            "metrics": asdict(self.metrics),
            **{name: value for name, (value, _) in self.extra.items()},
        }
        described: dict[str, Any] = _without_nan({"name": self.name, **self.about, **figures})
        return described

    def rows(self) -> dict[str, str]:
        """Return figure -> text, shares in per cent."""
        rows = {
            name: _text(value, "" if name in _PLAIN else "%")
            for name, value in asdict(self.metrics).items()
        }
        return rows | {name: _text(value, unit) for name, (value, unit) in self.extra.items()}


def grouped_reports(
    questions: Sequence[Question], replies: Sequence[Reply], *, officially: bool = False
) -> list[Report]:
    """Return a report of all questions, then one of each group if there are several.

    Args:
        officially: add the figures by the rules of the audio hallucination benchmark's scorer.
    """
    groups = list(dict.fromkeys(question.group for question in questions))
    reports = []
    for group in [None, *groups] if len(groups) > 1 else [None]:
        asked = [
            (question, reply)
            for question, reply in zip(questions, replies, strict=True)
            if group is None or question.group == group
        ]
        of_group, said = [question for question, _ in asked], [reply for _, reply in asked]
        extra = official_extra(of_group, said) if officially else {}
        metrics = reply_metrics(of_group, said)
        reports.append(Report("all" if group is None else group, metrics, extra=extra))
    return reports


def official_extra(
    questions: Sequence[Question], replies: Sequence[Reply]
) -> dict[str, tuple[float, str]]:
    """Return the official scorer's figures; a reply without words is read as its yes or no."""
    readings = [official_reading(r.text) if r.text.strip() else r.says_yes for r in replies]
    figures = official_figures([question.is_present for question in questions], readings)
    return {f"official_{name}": (value, "%") for name, value in asdict(figures).items()}


def report_text(
    reports: Sequence[Report], heading: str, form: str, about: dict[str, Any] | None = None
) -> str:
    """Return reports as a table with a heading (form "table"), or as JSON with `about` on top."""
    if form == "json":
        reported = [report.to_json() for report in reports]
        return json.dumps({**_without_nan(about or {}), "reports": reported}, indent=1)
    rows = [report.rows() for report in reports]
    names = list(dict.fromkeys(name for row in rows for name in row))
    first = max(22, *(len(name) + 2 for name in names))
    widths = [max(14, len(report.name) + 2) for report in reports]
    titles = [report.name.rjust(width) for report, width in zip(reports, widths, strict=True)]
    lines = [heading, " " * first + "".join(titles)]
    for name in names:
        cells = [row.get(name, "-").rjust(width) for row, width in zip(rows, widths, strict=True)]
        lines.append(name.ljust(first) + "".join(cells))
    return "\n".join(lines)


def _text(value: float, unit: str) -> str:
    if math.isnan(value):
        return "-"
    if isinstance(value, int):
        return str(value)
    if unit == "%":
        return f"{100 * value:.1f} %"
    return f"{value:.2f} {unit}" if unit else f"{value:.3f}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
