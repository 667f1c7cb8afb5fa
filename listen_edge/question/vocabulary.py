"""Is a concept made of English words? A question in another language is never called absent.

The words are WordNet's and those of the names that training asked for, see
listen_edge/train/texts/vocabulary.py. They are read at the first question, not at import.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from unicodedata import combining, normalize

from listen_edge.question import words as w

_FUNCTION_WORDS = w.PREPOSITIONS | w.ARTICLES | w.COMPOUNDS | w.NAMES_NO_SOUND | {"hz", "khz", "db"}
_EXCLAMATIONS = frozenset(  # English, and in no dictionary: what sounds are said to say
    [
        *("aargh", "achoo", "ahh", "arf", "argh", "atishoo", "aw", "aww", "awww"),
        *("boing", "boop", "brr", "brrr", "bzz", "bzzz", "eek", "grr", "haha"),
        *("hehe", "kaboom", "mmm", "nee-naw", "nom", "oof", "ouch", "ow", "pow"),
        *("psst", "ratatat", "ribbit", "shh", "tock", "tu-whit", "ugh", "whump", "woohoo"),
        *("yay", "yikes"),
    ]
)
_ENDINGS = (  # of an inflected form, and what stands there in a dictionary
    ("ies", "y"), ("ied", "y"), ("ier", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""),
    ("ed", ""), ("ed", "e"), ("ing", ""), ("ing", "e"), ("er", ""), ("er", "e"), ("ly", ""),
    ("est", ""), ("y", ""), ("y", "e"),
)  # fmt: skip
_JOINTS = re.compile(r"[-'.\d]+")
_SHORTEST_PART = 4  # letters of "ring" and "tone" in "ringtone"
_DOUBLED = ("ed", "ing", "er", "y")  # "humming": hum


@cache
def is_familiar(concept: str) -> bool:
    """Tell whether all words of a concept are English, or inflected forms of English words.

    Numbers, single letters and units ("50hz") pass, but do not make a name by themselves.
    """
    words = [word.strip(",") for word in concept.split()]
    return any(map(_has_letters, words)) and all(map(_is_known, words))


def _is_known(word: str) -> bool:
    said = word in _FUNCTION_WORDS or word in _EXCLAMATIONS
    if not _has_letters(word) or said or any(map(_holds, _stems(word))):
        return True
    parts = _JOINTS.split(word)
    if len(parts) > 1:
        return all(map(_is_known, parts))
    places = range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1)
    return any(_holds(word[:n]) and any(map(_holds, _stems(word[n:]))) for n in places)


def _has_letters(word: str) -> bool:
    return sum(map(str.isalpha, word)) > 1


def _stems(word: str) -> Iterator[str]:
    """Yield the word, and what it may be an inflected form of."""
    yield word
    yield "".join(c for c in normalize("NFD", word) if not combining(c))  # "café"
    for ending, plain in _ENDINGS:
        stem = word.removesuffix(ending)
        if len(stem) < len(word) and len(stem) > 1:
            yield stem + plain
            if ending in _DOUBLED and stem[-1] == stem[-2]:
                yield stem[:-1]


def _holds(word: str) -> bool:
    return f"\n{word}\n".encode() in _dictionary()


@cache
def _dictionary() -> bytes:
    """Return all words between line feeds, in alphabetical order."""
    packed = files("listen_edge.question").joinpath("words.txt.gz").read_bytes()
    return b"\n" + gzip.decompress(packed)
