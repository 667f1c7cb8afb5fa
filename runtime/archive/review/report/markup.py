"""Markup made of elements: what is not markup already is escaped, always."""

from __future__ import annotations

import html
from collections.abc import Iterable

from listen_edge.printable import escaped


class Html(str):
    """A text that is markup. Only this file makes one of another text."""

    __slots__ = ()


def text(plain: str) -> Html:
    """Return a text of any origin as markup that shows it."""
    return plain if isinstance(plain, Html) else Html(html.escape(escaped(plain)))


def joined(parts: Iterable[str], between: str = "") -> Html:
    """Return markup and texts one after another."""
    return Html(text(between).join(map(text, parts)))


def element(tag: str, *children: str, **attributes: str | float | None) -> Html:
    """Return an element: element("p", "5 < 6", class_="note").

    Args:
        children: markup, or texts to show.
        attributes: "_" stands for "-" and is dropped from the end; None leaves one out.
    """
    given = joined(
        Html(f' {name.strip("_").replace("_", "-")}="{text(_written(value))}"')
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{given}>{joined(children)}</{tag}>")


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{round(value, 2):g}"
