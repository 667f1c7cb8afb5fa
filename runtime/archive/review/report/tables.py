"""Sections, tables and what can be unfolded, as every part of the page has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from listen_edge.runtime.archive.review.report.markup import Html, element


def section(name: str, title: str, *parts: str) -> Html:
    """Return a part of the page under a heading, which a link can point to."""
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, *parts, id=name, aria_labelledby=f"{name}-title")


def note(*parts: str) -> Html:
    """Return a sentence that is not the main thing."""
    return element("p", *parts, class_="quiet")


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], n_words: int = 1
) -> Html:
    """Return a table that scrolls by itself where it is too wide.

    Args:
        heads: of the columns.
        rows: a cell for each column; the first is the row's head.
        n_words: columns from the left that hold words, not figures.
    """

    def kind(column: int) -> str | None:
        return "words" if 0 < column < n_words else None

    head = element(
        "tr",
        *(element("th", one, scope="col", class_=kind(n)) for n, one in enumerate(heads)),
    )
    body = (
        element(
            *("tr", element("th", first, scope="row")),
            *(element("td", cell, class_=kind(n)) for n, cell in enumerate(rest, 1)),
        )
        for first, *rest in rows
    )
    whole = element(
        *("table", element("caption", caption), element("thead", head), element("tbody", *body))
    )
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def details(summary: str, *parts: str) -> Html:
    """Return what is folded away until it is asked for."""
    return element("details", element("summary", summary), *parts)


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Return names and what they are."""
    return element(
        "dl",
        *(part for name, value in pairs for part in (element("dt", name), element("dd", value))),
    )
