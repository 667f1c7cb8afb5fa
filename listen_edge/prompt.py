"""The text around the audio: constant prefix, question template and answer tokens.

One definition for training, export and runtime. A window's prompt reads

    <prefix> [audio embeddings] <bridge> < question><question end>  ->  yes | no

The prefix is the same for every window and question, so its KV is computed once per process;
the bridge is the same for every question, so it is decoded once per window. The prompt knows
nothing of tokenisation: that is llama.cpp's (runtime/llama/session.py), in training too.

Source: a constant few-shot prefix turns a frozen 135M LLaMA into a matcher of names; measured in
docs/method.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# sounds, one of them, one that is not
_EXAMPLES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("footsteps", "crow"), "footsteps", "engine"),
    (("brushing teeth", "door knock"), "door knock", "sneezing"),
    (("siren",), "siren", "airplane"),
    (("thunderstorm",), "thunderstorm", "pig"),
    (("mouse click",), "mouse click", "frog"),
    (("crying baby",), "crying baby", "wind"),
    (("rain", "cow"), "cow", "dog"),
    (("snoring", "clock tick"), "snoring", "fireworks"),
)


def describe(sounds: Sequence[str]) -> str:
    """Return the text that stands where a window's audio embeddings go."""
    return f" {', '.join(sounds)}."


def _examples() -> str:
    text = ""
    for k, (sounds, present, absent) in enumerate(_EXAMPLES):
        answers = [(present, "Yes"), (absent, "No")]
        text += f"Sounds:{describe(sounds)}\n"
        for concept, answer in answers if k % 2 == 0 else reversed(answers):
            text += f"Is there a sound of {concept}? {answer}\n"
    return text + "Sounds:"


@dataclass(frozen=True)
class Prompt:
    """The constant text of a bundle; stored in its manifest.

    Attributes:
        prefix: text before the audio embeddings, constant.
        bridge: text between the audio embeddings and the concept, constant.
        question: template of the concept with one `{}`.
        yes: answers that mean present, each a single token of the LLM.
        no: answers that mean absent, each a single token.
    """

    prefix: str
    bridge: str = "\nIs there a sound of"
    question: str = " {}?"
    yes: tuple[str, ...] = (" Yes",)
    no: tuple[str, ...] = (" No",)

    def ask(self, concept: str) -> str:
        """Return the text of one question, to be decoded after the bridge."""
        return self.question.format(concept)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Prompt:
        return cls(
            prefix=fields["prefix"],
            bridge=fields["bridge"],
            question=fields["question"],
            yes=tuple(fields["yes"]),
            no=tuple(fields["no"]),
        )


DEFAULT_PROMPT = Prompt(prefix=_examples())
