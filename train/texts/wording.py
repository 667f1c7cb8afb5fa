"""How texts are asked of an LLM, and how they are worded without one.

The paper replaces `[Begin of audio] ... [End of audio]` of the LLM's prompt by the audio; its
prompts for negative and combined text are not published, so all wordings here are ours.

Source: the marks and "Replay the audio." from LISTEN, section on synthesis.
"""

from __future__ import annotations

import random

from listen_edge.train.texts.assignments import QUESTION_KINDS, Assignment
from listen_edge.train.texts.knowledge import Knowledge

# what training asks before the text; a question asks for itself
SEED_PROMPTS: dict[str, tuple[str, ...]] = {
    "positive": ("Replay the audio.", "Describe the audio.", "What can be heard in the audio?"),
    "negative": (
        "Name sounds that are not in the audio.",
        "What cannot be heard in the audio?",
        "Which sounds are missing from the audio?",
    ),
    "combined": (
        "Replay the audio and name sounds that are not in it.",
        "What can and what cannot be heard in the audio?",
        "Describe the audio, then name what is missing from it.",
    ),
}
_TASKS = {
    "positive": "Describe only this sound in one or two short sentences: what kind of thing makes"
    " it, how it sounds, and what else it is called. Mention no other sound.",
    "negative": "Say in one or two short sentences that the absent sounds are not in the audio."
    " Mention no other sound.",
    "combined": "Say in one short sentence what is in the audio. Then say in another sentence that"
    " the absent sounds are not in it. Mention no other sound.",
    "question": "Ask in one short question whether the named sound can be heard. Write the question"
    " alone.",
}
# solved examples: a small LLM keeps to the form only after several
_EXAMPLES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "positive": (
        ("lawn mower", "", "A lawn mower is running. It is a garden machine that drones loudly."),
        ("yodeling", "", "Someone is yodeling, a kind of singing with a leaping voice."),
        ("blender", "", "A blender whirs. It is a kitchen appliance, also called a mixer."),
    ),
    "negative": (
        ("lawn mower", "foghorn, yodeling", "There is no foghorn and no yodeling."),
        ("yodeling", "hair dryer, sonar", "A hair dryer cannot be heard. Sonar is missing too."),
        ("blender", "lawn mower", "The audio does not hold a lawn mower."),
    ),
    "combined": (
        ("lawn mower", "foghorn, sonar", "A lawn mower is running. There is no foghorn or sonar."),
        ("yodeling", "hair dryer", "Someone is yodeling. A hair dryer is not heard."),
        ("blender", "theremin, foghorn", "A blender whirs. There is no theremin and no foghorn."),
    ),
    "question": (
        ("foghorn", "", "Can you hear a foghorn in this recording?"),
        ("yodeling", "", "Is anyone yodeling here?"),
        ("lawn mower", "", "Does the audio contain a lawn mower?"),
    ),
}

_POSITIVE = (
    "The sound of {name} is heard.{more}",
    "This is the sound of {name}.{more}",
    "What sounds here is {name}.{more}",
)
_KIND = (" One may say {kind}.", " It belongs to {kind}.", " It counts as {kind}.")
_SOUND = (" It is heard as {sound}.", " It sounds like {sound}.", " One hears {sound}.")
_OTHER = (" It is also called {other}.", " Another word is {other}.", " Others say {other}.")
_NEGATIVE = (
    "There is no sound of {0}.",
    "{0} cannot be heard.",
    "No sound of {0} is in the recording.",
)
_QUESTIONS = (
    "Is {0} audible here?",
    "Can {0} be heard?",
    "Is there a sound of {0}?",
    "Does this recording hold {0}?",
    "Do you hear {0}?",
)


def seed_prompt(assignment: Assignment) -> str:
    """Return what training asks before a positive, negative or combined text."""
    prompts = SEED_PROMPTS[assignment.kind]
    return prompts[assignment.variant % len(prompts)]


def messages(assignment: Assignment, knowledge: Knowledge) -> list[dict[str, str]]:
    """Return the chat that asks an LLM for the text."""
    task = "question" if assignment.kind in QUESTION_KINDS else assignment.kind
    chat = [{"role": "system", "content": _TASKS[task]}]
    for name, absent, answer in _EXAMPLES[task]:
        chat.append({"role": "user", "content": _request(task, name, absent)})
        chat.append({"role": "assistant", "content": answer})
    asked = assignment.concept or assignment.caption or ", ".join(assignment.heard)
    request = _request(task, asked, ", ".join(assignment.absent), _notes(assignment, knowledge))
    return [*chat, {"role": "user", "content": request}]


def template_text(assignment: Assignment, knowledge: Knowledge, seed: int) -> tuple[str, str]:
    """Return a text made without an LLM, and its source: "ontology" or "template".

    It is the ontology's if it says anything that the tables alone would not.
    """
    rng = random.Random(seed)
    if assignment.kind in QUESTION_KINDS:
        concept = assignment.concept or ""
        source = "template" if concept in knowledge.tabled else "ontology"
        return rng.choice(_QUESTIONS).format(concept), source
    parts: list[str] = []
    source = "template"
    if assignment.kind != "negative":
        described, source = _positive(assignment, knowledge, rng)
        parts.append(described)
    parts += [_sentence(rng.choice(_NEGATIVE).format(name)) for name in assignment.absent]
    return " ".join(parts), source


def _positive(assignment: Assignment, knowledge: Knowledge, rng: random.Random) -> tuple[str, str]:
    if assignment.caption:
        return _sentence(assignment.caption), "template"
    sentences, source = [], "template"
    for label in assignment.heard:
        facts = knowledge.facts(label)
        kind = rng.choice(facts.kinds) if facts.kinds else ""
        sound = rng.choice(facts.sounds_like) if facts.sounds_like else ""
        other = rng.choice(facts.names[1:]) if facts.names[1:] else ""
        more = "".join(
            [
                rng.choice(_KIND).format(kind=kind) if kind else "",
                rng.choice(_SOUND).format(sound=sound) if sound else "",
                rng.choice(_OTHER).format(other=other) if other else "",
            ]
        )
        if {kind, sound, other} - {"", *knowledge.tabled}:
            source = "ontology"
        sentences.append(_sentence(rng.choice(_POSITIVE).format(name=label, more=more)))
    return " ".join(sentences), source


def _request(task: str, sounds: str, absent: str, notes: str = "") -> str:
    if task == "question":
        return f"Sound: {sounds}"
    noted = f"\nAbsent: {absent}" if absent else ""
    prompt = SEED_PROMPTS[task][0]
    return f"[Begin of audio] {sounds} [End of audio]{notes}{noted}\n{prompt}"


def _notes(assignment: Assignment, knowledge: Knowledge) -> str:
    """Return what is known of the tags, for a small LLM to lean on."""
    if assignment.kind != "positive" or assignment.caption:
        return ""
    notes = []
    for label in assignment.heard[:3]:
        facts = knowledge.facts(label)
        said = [*facts.kinds[:1], *facts.sounds_like[:1], *facts.names[1:2]]
        notes += [f"{label}: {', '.join(said)}"] if said else []
    return f"\nNotes: {'; '.join(notes)}" if notes else ""


def _sentence(text: str) -> str:
    """Return the text with a capital letter and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
