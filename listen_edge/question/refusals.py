"""What cannot be asked, and the line that says what can."""

from __future__ import annotations

import re

from listen_edge.errors import QuestionError
from listen_edge.ontology import name_key
from listen_edge.question import words as w
from listen_edge.question.grammar import Words, after_frame, is_ing
from listen_edge.question.name import merged, read_name
from listen_edge.question.text import is_sign, joined
from listen_edge.question.vocabulary import is_familiar

_INSTEAD = 'ask for one sound, for example "siren?" or "is a dog barking?"'
_SHOWN = 60  # characters of a question in its error
_MAX_PARTS = 4
_SOMEWHERE = re.compile("(?<= )in [A-Z\u00c0-\u00de]\\w*")  # "in Berlin"
_DENIES_BEFORE = re.compile("non-.+")
_DENIES_BEHIND = re.compile("free|.+-(?:free|less)")
_REASONS: tuple[tuple[frozenset[str], str], ...] = (
    (w.ORDERS, f"is no question about a sound ({{word!r}}); {_INSTEAD}"),
    (
        w.NEGATIONS,
        "asks for what is not there ({word!r}); ask for the sound itself: absent is an answer",
    ),
    (
        w.COUNTS,
        f"asks for a number, a degree or a comparison ({{word!r}}); {_INSTEAD}",
    ),
    (
        w.SEQUENCES,
        "asks for an order of sounds ({word!r}); ask for each sound, the answers have times",
    ),
    (
        w.CHANGES,
        "asks for a change ({word!r}); ask for the sound itself, the answers have times",
    ),
    (
        w.OTHER_QUESTIONS,
        f"asks for more than whether a sound is there ({{word!r}}); {_INSTEAD}",
    ),
)


def refuse_unless_one_sound(text: str, name: Words) -> None:
    """Raise QuestionError unless the words name one sound, and nothing but it.

    Args:
        text: the question, for the error.
        name: its words, without the frame.
    """
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    is_numbered = len(name) > 1 and name[0] in w.SOUND_WORDS and name[-1].isdecimal()  # "sound 8"
    if not (is_numbered or any(map(_says_something, name))):
        raise QuestionError(f'question "{shown}" names no sound; {_INSTEAD}')
    if joined(name) in w.KNOWN or _is_one_thing(name):
        return
    units = merged(name)
    for words, reason in _REASONS:
        for word in units:
            if word in words or (words is w.NEGATIONS and _denies(word, units)):
                raise QuestionError(f'question "{shown}" {reason.format(word=word)}')
    if _joins_sounds(units):
        raise QuestionError(f'question "{shown}" names several sounds; {_asks(units)}')
    place = _SOMEWHERE.search(text)
    left_over = place.group() if place else _left_over(units)
    if left_over is not None:
        raise QuestionError(f'question "{shown}" cannot be read ({left_over!r}); {_INSTEAD}')


def _says_something(word: str) -> bool:
    return any(map(str.isalpha, word)) and word not in w.NAMES_NO_SOUND | w.COMPOUNDS


def _denies(word: str, units: Words) -> bool:
    """Tell whether a word denies the rest: "siren-free", "siren free", "non-siren"."""
    behind = word is units[-1] and _DENIES_BEHIND.fullmatch(word)
    return bool(behind or _DENIES_BEFORE.fullmatch(word))


def _is_one_thing(name: Words) -> bool:
    """Tell whether all parts between commas are names of one thing: "fire engine, fire truck"."""
    parts = [part.split() for part in " ".join(name).split(" , ")]
    if len(parts) < 2 or any(set(part) & (w.COMPOUNDS - {","}) for part in parts):
        return False
    keys = [set(name_key(" ".join(part)).split()) for part in parts]
    if set.intersection(*keys):
        return True
    return any(all(set(part) & same for part in parts) for same in w.SAME)


def _joins_sounds(units: Words) -> bool:
    """Tell whether a word joins two sounds: "dog with a siren", but "writing with chalk"."""
    for place, word in enumerate(units):
        if word in w.COMPOUNDS:
            return True
        is_done = place > 0 and is_ing(units[place - 1]) and (word != "with" or place == 1)
        if word in w.JOINTS and not is_done:
            return True
    return False


def _asks(units: Words) -> str:
    """Return what to ask instead: each part, where every one is a sound in English words."""
    names = _parts(units)[:_MAX_PARTS]
    for name in names:
        try:
            refuse_unless_one_sound(joined(name), name)
        except QuestionError:
            return _INSTEAD
        if not is_familiar(joined(name)):
            return _INSTEAD
    return "ask for each: " + " ".join(f'--ask "{joined(name)}?"' for name in names)


def _parts(units: Words) -> list[Words]:
    parts: list[Words] = [[]]
    for unit in units:
        if unit in w.COMPOUNDS | w.JOINTS:
            parts.append([])
        else:
            parts[-1] += unit.split()
    return [read_name(*after_frame(part)) for part in parts if any(map(_says_something, part))]


def _left_over(units: Words) -> str | None:
    """Return the first word that no name of a sound holds where it stands."""
    if len(units) == 2 and units[0].isdecimal() and units[1].endswith("s"):
        return units[0]  # "2 dogs", but "50 hz hum"
    for place, word in enumerate(units):
        if is_sign(word):
            return word
        if word in w.NOT_OF_A_SOUND and (place or word not in w.MODAL):
            return word
        before = units[place - 1] if place else ""
        if place and word in w.ARTICLES and not (is_ing(before) or before in w.PREPOSITIONS):
            return f"{before} {word}"
    if units[0] in w.NEVER_FIRST:
        return units[0]
    return units[-1] if units[-1] in w.NEVER_LAST else None
