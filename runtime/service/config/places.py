"""YAML -> text, lists and maps, with the line and column of each.

Scalars stay as they are written: a model makes numbers of them, so that `on` is a key, 22:00 no
number and 0123 a password. Whatever the text is, time and memory are bounded: a limit on bytes and
nodes, with what anchors repeat counted each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from listen_edge.errors import one_line
from listen_edge.runtime.service.config.fields import Place

MAX_BYTES = 128 * 1024
_MAX_NODES = 10_000
_MAX_DEPTH = 16
_NULLS = {"~", "null", "Null", "NULL"}
Mark = tuple[int, int]  # line and column, from 1


class YamlError(ValueError):
    """Text that is not a configuration's YAML, and where."""

    def __init__(self, mark: Mark, text: str) -> None:
        super().__init__(text)
        self.mark = mark


class Blank:
    """A key without a value, which is neither a null nor a text."""


@dataclass
class Written:
    """What a text says.

    Attributes:
        value: text, None, Blank, list or dict.
        marks: of every key and item that stands there itself, not in an alias.
        twice: places of keys that their map has already.
    """

    value: Any
    marks: dict[Place, Mark]
    twice: list[tuple[Place, Mark]] = field(default_factory=list)


def read_yaml(text: str) -> Written:
    """Return what a text says.

    Raises:
        YamlError: not YAML, more than one document, or more than a configuration needs.
    """
    reader = _Reader(text)
    try:
        return reader.document()
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        raise YamlError(_mark(mark), f"not YAML: {_words(err)}") from err
    except yaml.reader.ReaderError as err:
        line = text.count("\n", 0, err.position) + 1
        code = err.character if isinstance(err.character, int) else ord(err.character)
        raise YamlError((line, 1), f"holds the control character U+{code:04X}") from err


class _Reader:
    """Takes events one by one, so that nothing is built beyond a limit."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._n_nodes = 0
        self._written = Written(None, {(): (1, 1)})
        self._anchors: dict[str, tuple[Any, int, int] | None] = {}  # value, nodes, depth

    def document(self) -> Written:
        next(self._events)  # the stream's start
        first = next(self._events)
        if isinstance(first, yaml.DocumentStartEvent):
            self._written.value = self._node(next(self._events), (), 0)[0]
            next(self._events)  # the document's end
            after = next(self._events)
            if isinstance(after, yaml.DocumentStartEvent):
                raise YamlError(_mark(after.start_mark), "a second document; expected one")
        return self._written

    def _node(self, event: Any, place: Place, depth: int) -> tuple[Any, int]:
        """Return a value and the depth below it."""
        mark = _mark(event.start_mark)
        self._count(1, mark)
        if depth > _MAX_DEPTH:
            raise YamlError(mark, f"nested more than {_MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if event.tag is not None and event.tag != "!":
            raise YamlError(
                mark,
                "tags are not read; quote a text that begins with !, and take a secret from a key "
                "that ends in _file",
            )
        before = self._n_nodes
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        value, below = self._content(event, place, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._n_nodes - before + 1, below)
        return value, below

    def _content(self, event: Any, place: Place, depth: int) -> tuple[Any, int]:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event), 0
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(place, depth)
        return self._map(place, depth)

    def _list(self, place: Place, depth: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        deepest = 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            here = (*place, len(items))
            self._written.marks[here] = _mark(event.start_mark)
            value, below = self._node(event, here, depth + 1)
            items.append(value)
            deepest = max(deepest, below)
        return items, deepest + 1

    def _map(self, place: Place, depth: int) -> tuple[dict[str, Any], int]:
        rows: dict[str, Any] = {}
        deepest = 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            mark = _mark(event.start_mark)
            if not isinstance(event, yaml.ScalarEvent) or event.tag not in (None, "!"):
                raise YamlError(mark, "expected a key in plain words")
            key = (*place, event.value)
            is_twice = event.value in rows
            if is_twice:
                self._written.twice.append((key, mark))
            else:
                self._written.marks[key] = mark
            value, below = self._node(next(self._events), key, depth + 1)
            if not is_twice:
                rows[event.value] = value
            deepest = max(deepest, below)
        return rows, deepest + 1

    def _alias(self, event: Any, depth: int) -> tuple[Any, int]:
        mark = _mark(event.start_mark)  # not its name: it may be a secret that begins with "*"
        if event.anchor not in self._anchors:
            raise YamlError(mark, "there is no such anchor above; quote a text that begins with *")
        found = self._anchors[event.anchor]
        if found is None:
            raise YamlError(mark, "an anchor is within itself")
        value, n_nodes, below = found
        self._count(n_nodes, mark)
        if depth + below > _MAX_DEPTH:
            raise YamlError(mark, f"nested more than {_MAX_DEPTH} levels")
        return value, below

    def _count(self, n_nodes: int, mark: Mark) -> None:
        self._n_nodes += n_nodes
        if self._n_nodes > _MAX_NODES:
            raise YamlError(mark, f"more than {_MAX_NODES} values, with what its anchors repeat")


def _scalar(event: Any) -> Any:
    is_plain = event.implicit[0]
    if is_plain and event.value == "":
        return Blank()
    return None if is_plain and event.value in _NULLS else event.value


def _mark(mark: Any) -> Mark:
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _words(err: yaml.MarkedYAMLError) -> str:
    """Return a parser's words without the lines that it quotes."""
    if "'\\t'" in (problem := str(err.problem)):
        return "a tab; expected spaces before a key"
    if problem.endswith("but got '?'"):
        return "a ? within [ ] or { }; quote that text"
    context = f"{err.context}, " if err.context else ""
    return one_line(f"{context}{problem}")
