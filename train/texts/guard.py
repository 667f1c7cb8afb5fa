"""Refuses text that would teach something wrong: contradictions, other forms, broken output.

A wrong absence is the worst of them: the paper names it as a cause of failure. So when in doubt a
text is refused; a template then takes its place.
"""

from __future__ import annotations

import re
from collections import Counter

from listen_edge.chat import Completion
from listen_edge.train.texts.assignments import QUESTION_KINDS, Assignment
from listen_edge.train.texts.knowledge import Knowledge, stems

# why a text may be refused; an endpoint that gives only the first of them is broken
EMPTY, TRUNCATED, REPETITIVE = "empty", "truncated", "repetitive"
FORM, OFF_TOPIC = "another form", "names nothing it should"
DENIES_PRESENT, CLAIMS_ABSENT = "denies a present sound", "claims an absent sound"
REASONS = (EMPTY, TRUNCATED, REPETITIVE, FORM, OFF_TOPIC, DENIES_PRESENT, CLAIMS_ABSENT)

_MOST_WORDS = 90  # of a text
_MOST_WORDS_AROUND = 9  # its concept, in a question
_NEGATION = re.compile(
    r"\b(?:no|not|never|without|neither|nor|none|nothing|nowhere|absent|absence|missing|lacks?"
    r"|lacking|cannot|free of|devoid)\b|n't\b",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r"[.;:!?]+|,?\s*\b(?:but|only|just|instead|however|although|though|whereas|while|yet|rather|which"
    r"|and(?= (?:there|no|you|it|neither)\b))\b",
    re.IGNORECASE,
)
# What a chat model says about itself or its task instead of doing it, and lists in place of prose.
_NOT_PROSE = re.compile(
    r"\bother than\b|\bexcept\b|\bbegin of audio|end of audio"
    r"|\bas an ai\b|language model|\bi (?:cannot|can't|am unable)\b"
    r"|\bi'm sorry\b|^sure\b|^certainly\b|^here (?:is|are)\b|\btags?\b|\bcaptions?\b"
    r"|^\s*(?:[-*#]|\d+\.)|[\[\]<>{}|*_#:]|https?:|\n\s*\n",
    re.IGNORECASE | re.MULTILINE,
)
_ASKS = re.compile(
    r"(?:is|are|was|were|do|does|did|can|could|have|has|will|would|might)\b[^.?!]*\?$",
    re.IGNORECASE,
)

_LISTENS = re.compile(r"\b(?:there|hear\w*|audi\w+|sounds?|record\w+|clip|listen\w*)\b", re.I)


def refusal(completion: Completion, assignment: Assignment, knowledge: Knowledge) -> str | None:
    """Return why the text may not be used, one of REASONS, or None if it may."""
    text = completion.text.strip()
    is_question = assignment.kind in QUESTION_KINDS
    if not re.search("[A-Za-z]{2}", text):
        return EMPTY
    if completion.is_cut or not re.search(r"[.!?][\"')]?$", text):
        return TRUNCATED
    if is_repetitive(text):
        return REPETITIVE
    if len(text.split()) > _MOST_WORDS or _NOT_PROSE.search(text):
        return FORM
    if is_question:
        return _question_refusal(text, assignment, knowledge)
    return _text_refusal(text, assignment, knowledge)


def is_repetitive(text: str) -> bool:
    """Tell whether a text goes in circles: a sentence twice, or three words three times."""
    sentences = [" ".join(part.lower().split()) for part in re.split(r"[.!?]+", text)]
    sentences = [sentence for sentence in sentences if sentence]
    words = re.findall(r"\w+", text.lower())
    runs = Counter(zip(words, words[1:], words[2:], strict=False))
    same = any(one == other == third for one, other, third in runs)
    return len({*sentences}) < len(sentences) or same or max(runs.values(), default=0) > 2


def clauses(text: str) -> list[tuple[str, bool]]:
    """Return a text's clauses, each with whether it is negated."""
    parts = [part.strip() for part in _CLAUSE_END.split(text)]
    return [(part, bool(_NEGATION.search(part))) for part in parts if part]


def _text_refusal(text: str, assignment: Assignment, knowledge: Knowledge) -> str | None:
    """Return why a positive, negative or combined text may not be used."""
    heard, parts = assignment.heard, clauses(text)
    denials = " ".join(clause for clause, is_negated in parts if is_negated)
    affirmed = [n for clause, is_no in parts if not is_no for n in knowledge.mentions(clause)]
    denied = knowledge.mentions(denials)
    if any(knowledge.holds_any(heard, name) for name in denied):
        return DENIES_PRESENT
    if {*stems(denials).split()} & knowledge.own_words(heard):
        return DENIES_PRESENT
    if any(not knowledge.is_said_of(heard, name) for name in affirmed):
        return CLAIMS_ABSENT
    if assignment.kind == "positive" and denials:
        return FORM
    if assignment.kind == "negative" and affirmed:
        return FORM
    absent = {stems(name) for name in assignment.absent}
    if assignment.kind != "positive" and not absent & {stems(name) for name in denied}:
        return OFF_TOPIC
    words = f" {stems(text)} "
    if assignment.kind != "negative" and not affirmed and not _sounds_like(words, heard, knowledge):
        return OFF_TOPIC
    return None


def _sounds_like(words: str, heard: tuple[str, ...], knowledge: Knowledge) -> bool:
    return any(
        f" {stems(s)} " in words for label in heard for s in knowledge.facts(label).sounds_like
    )


def _question_refusal(text: str, assignment: Assignment, knowledge: Knowledge) -> str | None:
    """Return why a question may not be used: it must ask for its concept and for nothing else."""
    concept = assignment.concept or ""
    n_around = len(text.split()) - len(concept.split())
    if not _ASKS.match(text) or not _LISTENS.search(text) or _NEGATION.search(text):
        return FORM
    if n_around > _MOST_WORDS_AROUND:
        return FORM
    if f" {stems(concept)} " not in f" {stems(text)} ":
        return OFF_TOPIC
    own = {stems(name) for name in knowledge.mentions(concept)} | {stems(concept)}
    others = [name for name in knowledge.mentions(text) if stems(name) not in own]
    return FORM if others else None
