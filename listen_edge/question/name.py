"""The name of a sound as a question gives it -> one form for all tenses and numbers."""

from __future__ import annotations

from listen_edge.ontology import name_key
from listen_edge.question import verbs
from listen_edge.question import words as w
from listen_edge.question.grammar import (
    Context,
    Words,
    entry_lengths,
    is_ing,
    without_end,
    without_start,
)
from listen_edge.question.text import is_sign, joined, without_commas

_UNITS = w.FIXED_PHRASES | w.COMPOUNDS | w.COUNTS | w.ORDERS
_FOLLOWS_A_VERB = w.PREPOSITIONS | w.ARTICLES | {","}


def read_name(words: Words, context: Context) -> Words:
    """Return the words of the name, without what says nothing of the sound.

    Args:
        context: how the name stands in its question. A verb's forms that are nouns as well are read
            as a verb only where a verb must stand: "did a kettle whistle", but "train whistle".
    """
    said_to_be = w.CLOSINGS | (w.LIGHT_VERBS if context != "name" else frozenset())
    whole = without_commas(without_end(without_end(words, w.TAGS), said_to_be))
    name = _with_its_subject_first(_without_edges(whole, said_to_be))
    name = _without_somebody(_without_auxiliaries(_without_relative(name)), context)
    if joined(name) not in w.KNOWN and "," not in name:
        name = _without_owner(_in_ing_form(name, context))
    if context in ("is", "do") and whole == words and not _says_what_happens(name):
        return [*name, context]  # "is the dog happy": refused as what the grammar does not know
    return _singular(_without_sound(name))


def _without_edges(words: Words, closings: frozenset[str]) -> Words:
    """Return the words without articles, degrees and "the sound of" before, and closings behind."""
    before: Words = []
    while words != before and joined(words) not in w.KNOWN:
        before = words
        words = without_commas(without_end(words, closings))
        words = without_commas(without_start(words, w.DETERMINERS | {","}))
        if joined(words) not in w.KNOWN:
            words = without_start(words, w.DEGREES | w.SOUND_OF | w.ADVERBS)
    return words


def _with_its_subject_first(words: Words) -> Words:
    """Return "dog barking" for "barking of a dog"."""
    if len(words) > 2 and is_ing(words[0]) and words[1] == "of":
        return [*without_start(words[2:], w.DETERMINERS), words[0]]
    return words


def _without_relative(words: Words) -> Words:
    """Return "dog barking" for "dog that is barking"."""
    for place in range(1, len(words) - 1):
        if words[place] in ("that", "which", "who"):
            rest = words[place + 1 :]
            if rest[0] in w.AUXILIARIES or _forms("clause").get(rest[0]) or is_ing(rest[0]):
                return words[:place] + rest
    return words


def _without_auxiliaries(words: Words) -> Words:
    """Return "dog barking" for "dog is loudly barking", "dog barked" for "dog has barked"."""
    dropped = w.BE | w.HAVE | {"heard"}
    for place in range(1, len(words)):
        end = place
        while end < len(words) and words[end] in (
            w.AUXILIARIES | dropped if end > place else dropped
        ):
            end += 1
        followed = end == len(words) or is_ing(words[end]) or words[end] in verbs.PAST
        modal = words[place] in w.MODAL and words[place + 1 : place + 2] in (["be"], ["have"])
        if modal:
            return _without_auxiliaries([*words[:place], *words[place + 1 :]])
        if end > place and followed:
            words = words[:place] + words[end:]
            break
    return [word for place, word in enumerate(words) if not place or word not in w.ADVERBS]


def _without_somebody(words: Words, context: Context) -> Words:
    """Return "coughing" for "someone coughing": the words that name nobody go."""
    if len(words) > 1 and words[0] in w.SOMEBODY:
        verb = _forms("do" if context == "do" else "clause").get(words[1])
        if verb or is_ing(words[1]):
            return [verb or words[1], *words[2:]]
    return words


def _without_owner(words: Words) -> Words:
    """Return "dog barking" for "neighbour's dog barking", but "lion's roar" as it is."""
    owner, rest = words[:1], words[1:]
    is_plural = owner == ["neighbours"] or owner == ["neighbors"]  # their apostrophe is gone
    owns_a_source = len(rest) > 1 and joined(_singular(rest)) in w.KNOWN
    if rest and owner[0] in w.OWNERS:
        return rest
    return rest if owns_a_source and (is_plural or owner[0].endswith("'s")) else words


def _in_ing_form(words: Words, context: Context) -> Words:
    """Return the words with the verb behind a subject in its -ing form."""
    forms = _forms(context)
    for place in range(1, len(words)):
        before, word, after = words[place - 1], words[place], words[place + 1 : place + 2]
        if is_ing(before) or before == "being" or before.endswith("'s"):
            continue
        if name_key(before) != before and word in verbs.UNLIKE_NOUNS:  # "sirens wail"
            forms = verbs.BASE
        ends = not after or after[0] in _FOLLOWS_A_VERB
        if ends and word in forms and before not in _FOLLOWS_A_VERB:
            return [*words[:place], forms[word], *words[place + 1 :]]
    return words


def _forms(context: Context) -> dict[str, str]:
    if context == "do":
        return {**verbs.BASE, **verbs.THIRD, **verbs.PAST}
    if context == "clause":
        return {**verbs.THIRD, **verbs.PAST, **verbs.PLAIN}
    return verbs.PLAIN


def _without_sound(words: Words) -> Words:
    """Return "siren" for "siren sound", but "traffic noise" as it is."""
    if len(words) > 1 and words[-1] in w.SOUND_WORDS:
        rest = [*words[:-2], words[-2].removesuffix("'s")]
        if joined(_singular(rest)) in w.KNOWN or rest[-1] in verbs.BASE.values():
            return rest
    return words


def _singular(words: Words) -> Words:
    """Return "dog barking" for "dogs barking", if the singular is a name that everybody knows."""
    if any(map(is_sign, words)):  # a key has none
        return words
    one = name_key(joined(words))
    return one.split() if joined(words) not in w.KNOWN and one in w.KNOWN else words


def _says_what_happens(words: Words) -> bool:
    return len(words) < 2 or joined(words) in w.KNOWN or any(map(is_ing, words))


def merged(words: Words) -> Words:
    """Return the words, each fixed phrase such as "rock and roll" as one."""
    result: Words = []
    while words:
        n = max(entry_lengths(words, 0, _UNITS), default=1)
        result.append(" ".join(words[:n]))
        words = words[n:]
    return result
