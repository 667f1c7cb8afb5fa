"""A question as typed -> its words: no marks, brackets, quotes or full-width forms."""

from __future__ import annotations

import re
import unicodedata

from listen_edge.errors import QuestionError
from listen_edge.printable import printable

# zero-width characters and soft hyphens, which come with pasted text
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_MEANING = str.maketrans(
    {
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{MODIFIER LETTER APOSTROPHE}": "'",
        "\N{HYPHEN}": "-",
        "_": " ",
        "&": " and ",
        "+": " plus ",
        "/": " or ",
        **dict.fromkeys(",;:!?\u2013\u2014\u3001\u3002\u060c\u061f", " , "),
    }
)
# "!dog" and "-dog", but "hi-hat" and "- dog"
_NOT = re.compile("(?<!\\S)[\"'(]*[-!~\u00ac\u2010\u2212]+(?=[^\\W\\d_])")
_SIGNS = "\\%$^"  # and those of mathematics, arrows among them: no name of a sound holds one
_ARROWS = re.compile("[\u2190-\u21ff\u2794-\u27be\u2b00-\u2b11]")
_SPACES = "\t\n\v\f\r"
_ELLIPSIS = re.compile(r"\.{2,}")
_ABBREVIATIONS = frozenset(["st", "dr", "mr", "mrs", "vs"])
_WHOLE = {
    "cannot": "can not",
    "can't": "can not",
    "cant": "can not",
    "won't": "will not",
    "ain't": "is not",
    "dont": "do not",
    "let's": "let us",
    "i'm": "i am",
    "etc": ",",
    **{f"{verb}nt": f"{verb} not" for verb in ("is", "was", "are", "does", "did", "has")},
    **dict.fromkeys(("theres", "there's"), "there is"),
    **dict.fromkeys(("whats", "what's"), "what is"),
    **{f"{word}'s": f"{word} is" for word in ("here", "that", "it", "who", "how", "where")},
}
_ENDINGS = {"n't": "not", "'ve": "have", "'re": "are", "'ll": "will", "'d": "would"}


def readable(question: str) -> str:
    """Return the question on one line.

    Raises:
        QuestionError: it holds control characters, or bytes that are not UTF-8.
    """
    text = question.translate(_INVISIBLE)
    for character in text:
        is_space = character in _SPACES or unicodedata.category(character)[0] == "Z"
        if not (is_space or character.isprintable()):
            raise QuestionError(
                f'question "{printable(question[:40])}" holds characters that cannot be printed; '
                'ask for one sound in plain words, for example "siren?"'
            )
    return " ".join(text.split())


def words_of(text: str) -> list[str]:
    """Return the words in lower case; a comma stands for whatever separates them.

    A sign before a word that denies it is "not"; one that no name holds is a word of its own.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    plain = _ELLIPSIS.sub(" , ", _NOT.sub(" not ", plain).translate(_MEANING))
    words: list[str] = []
    for token in "".join(map(_kept, plain)).split():
        word = token.strip("'-.")
        if is_sign(token):
            words.append(token)
        elif any(map(str.isalnum, word)):
            words += _expanded(word)
        if token == "," or (token.endswith(".") and word not in _ABBREVIATIONS):
            words.append(",")
    return without_commas(words)


def without_commas(words: list[str]) -> list[str]:
    """Return the words without commas at their edges or side by side."""
    kept: list[str] = []
    for word in words:
        if word != "," or (kept and kept[-1] != ","):
            kept.append(word)
    return kept[:-1] if kept[-1:] == [","] else kept


def joined(words: list[str]) -> str:
    """Return the words as one text."""
    return " ".join(words).replace(" ,", ",")


def is_sign(token: str) -> bool:
    """Tell whether a token is one character of a formula, a path or code: "|", "=", an arrow."""
    if len(token) != 1:
        return False
    return token in _SIGNS or unicodedata.category(token) == "Sm" or bool(_ARROWS.match(token))


def _kept(character: str) -> str:
    """Return a letter, a digit, a mark upon one or an inner point; a space for all else.

    A sign is kept between spaces.
    """
    if is_sign(character):
        return f" {character} "
    return character if unicodedata.category(character)[0] in "LNM" or character in "'-.," else " "


def _expanded(word: str) -> list[str]:
    """Return the words that a short form stands for: "isn't" is "is not"."""
    if word in _WHOLE:
        return _WHOLE[word].split()
    for ending, meaning in _ENDINGS.items():
        if word.endswith(ending) and len(word) > len(ending):
            return [word.removesuffix(ending), meaning]
    return [word]
