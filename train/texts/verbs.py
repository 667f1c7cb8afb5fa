"""A hand-made table of what a thing is heard to do: by words, so for labels of any data set.

Names are looked up in the singular. What is true of only some recordings of a label stands nowhere.
"""

from __future__ import annotations

import re

from listen_edge.ontology import name_key

# label's words -> what it is heard to do, where its own verb does not tell
_SOUNDS: dict[str, str] = {
    "dog": "barking",
    "puppy": "barking",
    "rooster": "crowing",
    "pig": "grunting",
    "cow": "mooing",
    "frog": "croaking",
    "cat": "meowing",
    "kitten": "meowing",
    "hen": "clucking",
    "insects": "buzzing",
    "sheep": "bleating",
    "crow": "cawing",
    "bees": "buzzing",
    "rain": "pattering",
    "sea waves": "rushing",
    "ocean waves": "rushing",
    "crackling fire": "crackling",
    "crickets": "chirping",
    "chirping birds": "chirping",
    "water drops": "dripping",
    "wind": "howling",
    "pouring water": "gurgling",
    "toilet flush": "rushing",
    "thunderstorm": "rumbling",
    "thunder": "rumbling",
    "crying baby": "wailing",
    "laughing": "laughter",
    "door wood knock": "knocking",
    "mouse click": "clicking",
    "keyboard typing": "clicking",
    "door wood creaks": "creaking",
    "can opening": "hissing",
    "washing machine": "humming",
    "vacuum cleaner": "humming",
    "clock alarm": "beeping",
    "clock tick": "ticking",
    "glass breaking": "shattering",
    "helicopter": "whirring",
    "chainsaw": "roaring",
    "siren": "wailing",
    "car horn": "honking",
    "engine": "humming",
    "train": "rattling",
    "church bells": "ringing",
    "airplane": "droning",
    "fireworks": "banging",
    "hand saw": "sawing",
    "gunshot": "banging",
    "explosion": "banging",
    "machine gun": "rattling",
    "waterfall": "rushing",
    "doorbell": "ringing",
    "steam": "hissing",
    "electric fan": "whirring",
    "jackhammer": "hammering",
    "heartbeat": "thumping",
    "bubbles": "bubbling",
    "milking a cow": "squirting",
    "train horn": "honking",
    "ship horn": "honking",
    "train whistle": "whistling",
    "steam whistle": "whistling",
    "wooden frog guiro": "scraping",
    "morse code": "beeping",
    "whistle": "whistling",
    "bell": "ringing",
}

# last words of labels that end in "ing" and tell nothing of the sound
SILENT_VERBS = frozenset(
    re.findall(
        r"\w+",
        "opening closing passing dropping landing flying turning moving falling rolling firing"
        " running playing spinning burning cutting calling blowing",
    )
)

SOUNDS_LIKE = {name_key(name): (sound,) for name, sound in _SOUNDS.items()}
