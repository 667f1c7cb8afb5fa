"""Sixty wordings of one question: does each get the answer that the bare name gets?

Asked about a bundle's own examples, so that nothing else is needed. A wording that is refused
counts as answered otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from listen_edge.audio import read_audio
from listen_edge.question import can_be_asked

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine


@dataclass(frozen=True)
class Sound:
    """A sound, and the forms that a wording may need.

    Attributes:
        name: as training asks for it.
        subject: what makes the sound, with its article.
        verb: what that does: base form, third person, past, participle and -ing form.
    """

    name: str
    subject: str
    verb: tuple[str, str, str, str, str]

    def in_words(self, wording: str) -> str:
        """Return the question in one of WORDINGS."""
        base, third, past, participle, ing = self.verb
        phrase = f"{self.subject} {ing}" if self.name.endswith(ing) else self.subject
        return wording.format(
            name=self.name,
            phrase=phrase,
            subject=self.subject,
            do=base,
            does=third,
            did=past,
            done=participle,
            doing=ing,
        )


SOUNDS = (
    Sound("siren", "a siren", ("go off", "goes off", "went off", "gone off", "going off")),
    Sound("dog barking", "a dog", ("bark", "barks", "barked", "barked", "barking")),
    Sound("glass breaking", "glass", ("break", "breaks", "broke", "broken", "breaking")),
    Sound("baby crying", "a baby", ("cry", "cries", "cried", "cried", "crying")),
)
WORDINGS = (
    "{name}?",
    "{name}",
    "{phrase}",
    "{phrase}, please",
    "Is there {phrase}?",
    "Is there {phrase} in the audio?",
    "Is there {phrase} in the background?",
    "Is there {phrase} or not?",
    "Was there {phrase}?",
    "There is {phrase}.",
    "There's {phrase}",
    "Is there possibly {phrase} right now?",
    "Could there be {phrase} somewhere nearby?",
    "Might there have been {phrase}?",
    "Is there any chance of {phrase}?",
    "Any sign of {phrase}?",
    "What about {phrase}?",
    "Is that {phrase}?",
    "Does it sound like {phrase}?",
    "Do you hear {phrase}?",
    "Do you happen to hear {phrase}?",
    "Can you hear {phrase}?",
    "Can you hear the sound of {phrase}?",
    "Could you please listen for {phrase}?",
    "Can {phrase} be heard?",
    "Have you noticed {phrase} in the recording?",
    "Did anyone hear {phrase}?",
    "Does this clip contain {phrase}?",
    "Does the recording include the sound of {phrase}?",
    "Can you make out {phrase}, please?",
    "I think I hear {phrase}",
    "I can hear {phrase} outside",
    "I wonder if there might be {phrase}",
    "I'd like to know whether there is {phrase}",
    "I want you to tell me if you hear {phrase}",
    "Please tell me whether you can hear {phrase}",
    "Could you tell me if there is {phrase}?",
    "Tell me: is there {phrase}?",
    "Would you mind checking if there is {phrase}?",
    "Do you think there is {phrase}?",
    "Hello, is there {phrase}, please?",
    "Listen for {phrase}",
    "Notify me of {phrase}",
    "Let me know if there is {phrase}",
    "Is it possible that there is {phrase}?",
    "the sound of {phrase}",
    "a sound like {phrase}",
    "\N{LEFT DOUBLE QUOTATION MARK}{phrase}\N{RIGHT DOUBLE QUOTATION MARK}",
    "[{phrase}]",
    "({phrase})\N{HORIZONTAL ELLIPSIS}",
    "{phrase}\N{FULLWIDTH QUESTION MARK}",
    "{name}!!!",
    "{subject} {does}",
    "{subject} {did}",
    "{subject} is {doing}",
    "{subject} has {done}",
    "Is {subject} {doing}?",
    "Is {subject} {doing} outside?",
    "Is {subject} loudly {doing} in the distance?",
    "Did {subject} {do}?",
    "Has {subject} {done}?",
    "Has {subject} been {doing}?",
    "Could you tell me if {subject} is {doing}?",
    "Is it true that {subject} {does}?",
    "Alert me when {subject} {does}",
    "Let me know as soon as {subject} {does}, please",
    "I wonder whether {subject} might be {doing}",
    "Can you hear {subject} {doing} in the background?",
    "Please check if {subject} {did}",
)


@dataclass(frozen=True)
class WordingReport:
    """What became of the wordings.

    Attributes:
        n_questions: recordings x sounds x wordings.
        n_equal: those with the state and presence of the bare name.
        spread: the largest difference of a presence from the bare name's.
        different: the questions that were answered otherwise or refused, each once.
    """

    n_wordings: int
    n_recordings: int
    n_questions: int
    n_equal: int
    spread: float
    different: tuple[str, ...]

    def to_text(self, bundle_id: str) -> str:
        """Return the figures for people."""
        share = 100 * self.n_equal / self.n_questions
        figures = (
            f"{bundle_id}, {self.n_wordings} wordings of {len(SOUNDS)} sounds, "
            f"{self.n_recordings} recordings: {self.n_equal} of {self.n_questions} answers "
            f"({share:.1f} %) equal the bare name's, presence differs by at most {self.spread:.4f}"
        )
        return "\n".join([figures, *(f"differs: {question}" for question in self.different)])

    def to_json(self, bundle_id: str) -> str:
        return json.dumps({"bundle": bundle_id, **asdict(self)}, indent=1)


def wording_report(
    engine: Engine,
    recordings: Sequence[Path],
    *,
    on_clip: Callable[[], None] = lambda: None,
) -> WordingReport:
    """Ask about every sound in every wording, and compare with its bare name.

    Raises:
        AudioError: a recording that cannot be listened to.
    """
    wordings = {sound.name: [sound.in_words(wording) for wording in WORDINGS] for sound in SOUNDS}
    asked = [question for questions in wordings.values() for question in questions]
    refused = [question for question in asked if not can_be_asked(question)]
    names = list(wordings)
    n_equal, spread, different = 0, 0.0, list(refused)
    for path in recordings:
        questions = [*names, *(question for question in asked if question not in refused)]
        answers = {a.question: a for a in engine.ask(read_audio(path), questions)}
        for name, worded in wordings.items():
            for question in set(worded).intersection(answers):
                bare, answer = answers[name], answers[question]
                off_by = abs((answer.presence or 0.0) - (bare.presence or 0.0))
                spread = max(spread, off_by)
                if answer.state == bare.state and off_by == 0:
                    n_equal += worded.count(question)
                else:
                    different.append(question)
        on_clip()
    n_questions = len(recordings) * len(asked)
    unique = tuple(dict.fromkeys(different))
    return WordingReport(len(WORDINGS), len(recordings), n_questions, n_equal, spread, unique)
