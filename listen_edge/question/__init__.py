"""A question in anybody's words -> the concept it asks about.

"siren?", "Could you tell me if there is a siren?" and "a loud siren, please" are one question: the
bundle's own template is put around the concept, so the wording cannot move the answer. What asks
for more than one sound's presence is refused, never answered about a part of it.
"""

from __future__ import annotations

from functools import lru_cache

from listen_edge.errors import QuestionError
from listen_edge.question.grammar import after_frame
from listen_edge.question.name import read_name
from listen_edge.question.refusals import refuse_unless_one_sound
from listen_edge.question.text import joined, readable, words_of

MAX_WORDS = 12
MAX_CHARACTERS = 120
_MAX_QUESTION = 400  # characters, frame and all
_EXAMPLE = 'for example "siren?" or "is a dog barking?"'


@lru_cache(maxsize=4096)  # the same questions are asked of every window
def parse_concept(question: str) -> str:
    """Return what a question asks about, in lower case without articles: "siren".

    A subject and its verb in any tense become the -ing form: "has a dog barked" is "dog barking".

    Raises:
        QuestionError: empty, longer than MAX_WORDS words or MAX_CHARACTERS characters, not
            printable, no sound is named, or more is asked than whether one sound is there.
    """
    text = readable(question)
    if not text:
        raise QuestionError(f"the question is empty; ask for a sound, {_EXAMPLE}")
    if len(text) > _MAX_QUESTION:
        raise _too_long(text)
    concept = _read(text, text)
    for _ in range(MAX_WORDS):  # what is left may be a question itself: "is a sound like a siren"
        if (again := _read(text, concept)) == concept:
            break
        concept = again
    return concept


def can_be_asked(question: str) -> bool:
    """Tell whether a question asks for one sound, see parse_concept."""
    try:
        parse_concept(question)
    except QuestionError:
        return False
    return True


def _read(text: str, asked: str) -> str:
    """Return the name in `asked`, which is the question or what was left of it."""
    name = read_name(*after_frame(words_of(asked)))
    concept = joined(name)
    if len(concept.split()) > MAX_WORDS or len(concept) > MAX_CHARACTERS:
        raise _too_long(text)
    refuse_unless_one_sound(text, name)
    return concept


def _too_long(text: str) -> QuestionError:
    return QuestionError(
        f'question "{text[:40]}..." has {len(text.split())} words and {len(text)} characters; '
        f"name one sound in at most {MAX_WORDS} words and {MAX_CHARACTERS} characters"
    )
