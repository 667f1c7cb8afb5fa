"""A card for people: one page of Markdown, a table a section."""

from __future__ import annotations

from listen_edge.evaluation.card.figures import KINDS, SOURCES, Card, Figure
from listen_edge.printable import escaped

_COLUMNS = list(KINDS)


def card_markdown(card: Card) -> str:
    """Return the card as one page of Markdown."""
    lines = [f"# Robustness card of {card.name}", ""]
    lines += [f"- Measured with {card.precision}; seed {card.seed}; {card.seconds:.0f} s."]
    lines += [f"- Recordings: {'; '.join(card.recordings)}."]
    if (worst := card.worst_source()) is not None:
        lines += [f"- Worst source: {worst.row}, AUROC {_text(worst)}."]
    for section in dict.fromkeys(figure.section for figure in card.figures):
        figures = [figure for figure in card.figures if figure.section == section]
        lines += ["", *_table(section, figures, worst.row if worst else None)]
    return "\n".join(map(escaped, lines))


def _table(section: str, figures: list[Figure], worst: str | None) -> list[str]:
    kinds = sorted({figure.kind for figure in figures}, key=_COLUMNS.index)
    sizes = [figure.n_questions is not None for figure in figures]
    titles = [section, *(KINDS[k].title for k in kinds)]
    titles += ["recordings", "questions"] * any(sizes)
    lines = [_row(titles), _row(["---", *["---:"] * (len(titles) - 1)])]
    for row in dict.fromkeys(figure.row for figure in figures):
        of_row = {figure.kind: figure for figure in figures if figure.row == row}
        name = f"**{row}**" if section == SOURCES and row == worst else row
        cells = [name, *(_text(of_row[k]) if k in of_row else "" for k in kinds)]
        if any(sizes):
            first = next(iter(of_row.values()))
            cells += [_count(first.n_clips), _count(first.n_questions)]
        lines.append(_row(cells))
    return lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _count(n: int | None) -> str:
    return "" if n is None else str(n)


def _text(figure: Figure) -> str:
    return value_text(figure.kind, figure.value)


def value_text(kind: str, value: float | None) -> str:
    """Return a figure with its unit; a dash where it does not exist."""
    if value is None:
        return "-"
    unit = KINDS[kind].unit
    if unit == "%":
        return f"{100 * value:.1f} %"
    if unit == "points":
        return f"{100 * value:.1f}"
    return f"{value:.1f}" if unit else f"{value:.3f}"
