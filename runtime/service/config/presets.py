"""Questions that belong together, by what people want to know. They are the bundle's own words.

Thresholds are the bundle's, which measured them; aliases are what else people call the same sound,
so that their question about it is this one, with this id and priority.
"""

from __future__ import annotations

from listen_edge.runtime.service.config.listening import Preset, QuestionConfig
from listen_edge.runtime.service.records.types import Priority


def _asked(priority: Priority, *names: tuple[str, ...]) -> tuple[QuestionConfig, ...]:
    return tuple(
        QuestionConfig.model_validate(
            {"ask": f"{name}?", "aliases": [f"{alias}?" for alias in aliases], "priority": priority}
        )
        for name, *aliases in names
    )


PRESETS: dict[Preset, tuple[QuestionConfig, ...]] = {
    "safety": _asked(
        "safety",
        ("smoke alarm", "smoke detector"),
        ("fire alarm",),
        ("carbon monoxide alarm", "carbon monoxide detector"),
        ("siren", "emergency siren"),
        ("glass breaking", "breaking glass", "glass shattering"),
        ("gunshot",),
        ("explosion",),
        ("screaming", "person screaming", "scream"),
    ),
    "pets": _asked(
        "normal",
        ("dog barking", "barking dog", "bark"),
        ("dog whimpering",),
        ("dog growling",),
        ("cat meowing", "meow"),
        ("cat hissing",),
    ),
    "home": _asked(
        "normal",
        ("doorbell",),
        ("door knock", "knocking", "knocking on a door"),
        ("telephone ringing",),
        ("crying baby", "baby crying", "infant crying"),
        ("alarm clock", "clock alarm", "alarm clock ringing"),
        ("kitchen timer",),
        ("microwave beep",),
        ("low battery chirp",),
        ("water dripping",),
    ),
    "workshop": _asked(
        "normal",
        ("hammering",),
        ("drill",),
        ("sawing", "hand saw"),
        ("circular saw",),
        ("chainsaw", "chain saw"),
        ("jackhammer",),
        ("air compressor",),
        ("steam hissing",),
        ("electric sparks",),
        ("reversing beeps",),
    ),
}
