"""A small grammar of questions: where the frame ends and the name of the sound begins.

The frame ("could you tell me if there is ...") is read as a path through a few states, each move by
a word of a closed list. Of all paths the longest wins that leaves a name, so that "can opening"
keeps its first word, which no pronoun follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from listen_edge.question import words as w

# How the name stands in its frame: alone ("siren"), as a clause ("if a dog barks"), behind do or
# have ("did a dog bark"), or behind is ("is a dog barking").
Context = Literal["name", "clause", "do", "is"]
Words = list[str]
_THERE = frozenset(["there"])

_MOVES: dict[str, tuple[tuple[frozenset[str], str], ...]] = {
    "start": (
        (w.POLITE | w.PLACES, "start"),
        (w.BE, "is"),
        (w.DO | w.HAVE, "do"),
        (w.MODAL, "modal"),
        (w.PERSONS | {"let us"}, "person"),
        (_THERE, "there"),
        (w.THINGS, "thing"),
        (w.HEAR_BASE | {"hearing any", "hearing a"}, "hear"),
        (w.TELL, "tell"),
        (w.CHANCE, "chance"),
        (frozenset({"what about", "how about"}), "named"),
        (w.IF, "clause"),
        (frozenset({"to"}), "person"),
        (w.THINK, "think"),
    ),
    "is": (
        (w.ADVERBS, "is"),
        (w.PERSONS, "person"),
        (_THERE, "is there"),
        (w.THINGS, "is it"),
    ),
    "do": (
        (w.ADVERBS, "do"),
        (w.PERSONS, "person"),
        (_THERE, "there"),
        (w.THINGS, "is it"),
    ),
    "modal": (
        (w.ADVERBS, "modal"),
        (w.PERSONS, "person"),
        (_THERE, "is there"),
        (w.THINGS, "is it"),
        (w.DETERMINERS, "clause"),
    ),
    "person": (
        (w.ADVERBS | w.POLITE, "person"),
        (w.AUXILIARIES, "person"),
        (w.WANT | {"to", "you to", "you"}, "person"),
        (w.HEAR, "hear"),
        (w.TELL, "tell"),
        (w.THINK | {"say"}, "think"),
        (w.CHANCE, "chance"),
    ),
    "think": (
        (w.IF | {"that", "about", "of", "me", "us"}, "clause"),
        (frozenset(), "clause"),
    ),
    "hear": ((w.AFTER_HEAR | w.ADVERBS, "hear"), (w.IF | {"that", "when"}, "clause")),
    "tell": (
        (w.TELL_WHOM, "told"),
        (w.IF | {"that", "for", "on", "of", "about"}, "clause"),
        (w.DETERMINERS, "named"),
    ),
    "told": (
        (w.TELL_WHOM, "told"),
        (w.IF | w.WHEN, "clause"),
        (w.BE, "is"),
        (w.DO | w.HAVE, "do"),
        (w.MODAL, "modal"),
        (w.CHANCE, "chance"),
    ),
    "clause": (
        (w.ADVERBS | w.POLITE, "clause"),
        (w.PERSONS, "person"),
        (_THERE, "there"),
        (w.THINGS, "thing"),
        (frozenset({"of"}), "clause"),
    ),
    "there": (
        (w.AUXILIARIES | w.ADVERBS | w.SEEM, "there"),
        (w.TRUE | w.CHANCE, "chance"),
    ),
    "is there": ((w.ADVERBS | w.SEEM, "is there"), (w.CHANCE, "chance")),
    "thing": ((w.AUXILIARIES, "is it"), (w.RESEMBLE, "clause"), (w.CONTAIN, "named")),
    "is it": (
        (w.BE | w.HAVE | w.ADVERBS, "is it"),
        (w.CONTAIN | w.HEAR, "named"),
        (w.RESEMBLE | {"like"}, "clause"),
        (w.TRUE, "true"),
    ),
    "true": (
        (w.IF | {"that"}, "clause"),
        (frozenset({"to", "for you to", "for me to"}), "person"),
        (frozenset(), "clause"),
    ),
    "chance": (
        (frozenset({"of", "for", "that", "if"}), "clause"),
        (frozenset(), "clause"),
    ),
    "named": (),
}  # fmt: skip
_ENDS: dict[str, Context] = {
    "start": "name",
    "hear": "name",
    "is there": "name",
    "there": "name",
    "is it": "name",
    "named": "name",
    "clause": "clause",
    "do": "do",
    "is": "is",
}
_LONGEST_ENTRY = 4  # words
_NOT_ING = w.words_in("ring king thing string wing spring sing ping ding ceiling")


def after_frame(words: Words) -> tuple[Words, Context]:
    """Return what is left when the frame has been read, and how it stands in it."""
    ends = {
        place: context
        for place, context in _ends(words)
        if place < len(words) and (words[place] not in w.NEVER_FIRST or not place)
    }
    start = max(ends, default=0)
    return words[start:], ends.get(start, "name")


def _ends(words: Words) -> Iterator[tuple[int, Context]]:
    """Yield the places where a name may begin, with its context."""
    if words and words[0] in w.MODAL and "be" in words:
        yield 1, "clause"  # "can glass breaking be heard", but "can opening"
    reached = [("start", 0)]
    seen = set(reached)
    for state, place in reached:  # grows while it is read
        if state in _ENDS:
            yield place, _ENDS[state]
        for entries, following in _MOVES[state]:
            steps = [0] if not entries else entry_lengths(words, place, entries)
            for step in steps:
                move = following, place + step
                if move not in seen:
                    seen.add(move)
                    reached.append(move)


def entry_lengths(words: Words, place: int, entries: frozenset[str]) -> list[int]:
    """Return the lengths of the entries of a list that begin at a place."""
    most = min(_LONGEST_ENTRY, len(words) - place)
    return [n for n in range(1, most + 1) if " ".join(words[place : place + n]) in entries]


def without_start(words: Words, entries: frozenset[str]) -> Words:
    """Return the words without the entries that they begin with; something is left."""
    while steps := [n for n in entry_lengths(words, 0, entries) if n < len(words)]:
        words = words[max(steps) :]
    return words


def without_end(words: Words, entries: frozenset[str]) -> Words:
    """Return the words without the entries that they end with; a name is left."""
    while True:
        for n in range(min(_LONGEST_ENTRY, len(words) - 1), 0, -1):
            if " ".join(words[-n:]) in entries and words[-n - 1] not in w.NEVER_LAST:
                words = words[:-n]
                break
        else:
            return words


def is_ing(word: str) -> bool:
    """Tell whether a word is what somebody or something does: "barking", but not "string"."""
    return word.endswith("ing") and word not in _NOT_ING
