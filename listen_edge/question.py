"""A question in anybody's words -> the concept it asks about.

"siren?", "Is there a siren?" and "do you hear a siren" are one question: the bundle's own template
is put around the concept, so the wording cannot move the answer.
"""

from __future__ import annotations

import re

from listen_edge.errors import QuestionError

MAX_WORDS = 12
MAX_CHARACTERS = 120

_OPENINGS = re.compile(
    r"^(?:please )?(?:"
    r"(?:is|are|was|were) there|"
    r"(?:can|could|do|did|have|has) (?:you|we|i|one|anyone|anybody) "
    r"(?:hear|heard|detect|detected|notice|noticed|perceive|recognise|recognize)|"
    r"(?:does|do|did) (?:the|this|that) (?:audio|recording|clip|sound|file|room) "
    r"(?:contain|include|have|hold|feature)|"
    r"(?:listen for|hear|detect)|"
    r"(?:is|are)(?= \S+ \S)"
    r")\s+"
)
_ARTICLES = re.compile(r"^(?:a|an|the|any|some)\s+")
_SOUND_OF = re.compile(r"^(?:sounds?|noises?) (?:of|from|like)\s+")
_CLOSINGS = re.compile(
    r"\s+(?:(?:in|on|within) (?:the|this|that) "
    r"(?:audio|recording|clip|sound|file|background|room)|right now|now|here|present|audible)$"
)


def parse_concept(question: str) -> str:
    """Return what a question asks about, in lower case without articles: "siren".

    Raises:
        QuestionError: empty, longer than MAX_WORDS words or MAX_CHARACTERS characters, or no
            sound is named.
    """
    text = " ".join(question.split())
    if not text:
        raise QuestionError('the question is empty; ask for a sound, for example "siren?"')
    if not text.isprintable():
        raise QuestionError(f"question {text[:40]!r} holds characters that cannot be printed")
    concept = text.lower().strip(" ?!.,;:\"'")
    concept = _OPENINGS.sub("", concept)
    for pattern in (_CLOSINGS, _ARTICLES, _SOUND_OF, _ARTICLES):
        concept = pattern.sub("", concept)
    if len(concept.split()) > MAX_WORDS or len(concept) > MAX_CHARACTERS:
        raise QuestionError(
            f'question "{text[:40]}..." has {len(text.split())} words and {len(text)} characters; '
            f"name one sound in at most {MAX_WORDS} words and {MAX_CHARACTERS} characters"
        )
    if not any(character.isalnum() for character in concept):
        raise QuestionError(f'question "{text}" names no sound; ask for one, for example "siren?"')
    return concept
