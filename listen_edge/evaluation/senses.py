"""What ESC-50's classes mean in the AudioSet ontology and in WordNet, chosen by hand.

A word has many senses ("siren" is a nymph, "pig" a policeman), so the sense that sounds is named
here. A class without one (can opening) gets no questions of its own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sense:
    """Where a class stands.

    Attributes:
        classes: names in the AudioSet ontology that mean it.
        noun: its sense in WordNet, such as "siren.4".
        source: sense of what makes the sound, where the class is named after the sound.
        may_hold: kinds that may be heard with it though neither source says so: no absence of it.
    """

    classes: tuple[str, ...] = ()
    noun: str | None = None
    source: str | None = None
    may_hold: frozenset[str] = frozenset()


def _words(*names: str) -> frozenset[str]:
    return frozenset(names)


_PETS = _words("domestic animal", "pets", "farm animals", "livestock")
_BREATH = _words("breathing", "respiration", "human voice", "mammal")
_FLYING = _words("machine", "propeller")
_VEHICLES = _words("vehicle", "car", "motor vehicle", "machine", "motor", "engine", "horn")
_WEATHER = _words("weather", "storm", "precipitation", "rainfall", "electrical storm", "liquid")
_WATER = _words("water", "liquid", "drip", "dripping", "pour", "trickle")
_MACHINE = _words("machine", "appliance", "home appliance", "tool", "power tool")
_CLICKS = _words("clicking", "click", "ticking", "tick-tock", "knocking")

SENSES: dict[str, Sense] = {
    "dog": Sense(("Dog",), "dog.1", may_hold=_PETS),
    "rooster": Sense(("Crowing",), "rooster.1", may_hold=_PETS),
    "pig": Sense(("Pig",), "pig.1", may_hold=_PETS),
    "cow": Sense(("Cattle",), "cow.1", may_hold=_PETS),
    "frog": Sense(("Frog",), "frog.1", may_hold=_words("water", "liquid", "insect")),
    "cat": Sense(("Cat",), "cat.1", may_hold=_PETS),
    "hen": Sense(("Cluck",), "hen.1", may_hold=_PETS),
    "insects": Sense(("Insect",), "insect.1", may_hold=_words("bird")),
    "sheep": Sense(("Sheep",), "sheep.1", may_hold=_PETS),
    "crow": Sense(("Crow",), "crow.1"),
    "rain": Sense(("Rain",), "rain.1", may_hold=_WEATHER | _WATER),
    "sea waves": Sense(("Waves",), "surf.1", may_hold=_WEATHER | _WATER | {"bird", "animal"}),
    "crackling fire": Sense(("Fire",), "crackle.1", "fire.3"),
    "crickets": Sense(("Cricket",), "cricket.1", may_hold=_words("bird")),
    "chirping birds": Sense(("Bird vocalization",), "birdsong.1", "bird.1", _PETS),
    "water drops": Sense(("Drip",), "drip.2", may_hold=_WATER | _CLICKS),
    "wind": Sense(("Wind",), "wind.1", may_hold=_WEATHER),
    "pouring water": Sense(("Pour",), may_hold=_WATER),
    "toilet flush": Sense(may_hold=_WATER),
    "thunderstorm": Sense(("Thunderstorm",), "thunderstorm.1", may_hold=_WEATHER | _WATER),
    "crying baby": Sense(("Baby cry",), "crying.1", "baby.1", _BREATH),
    "sneezing": Sense(("Sneeze",), "sneezing.1", may_hold=_BREATH),
    "clapping": Sense(("Clapping", "Applause"), "clapping.1", may_hold=_words("human voice")),
    "breathing": Sense(("Breathing",), "breathing.1", may_hold=_BREATH),
    "coughing": Sense(("Cough",), "coughing.1", may_hold=_BREATH),
    "footsteps": Sense(("Footsteps",), "footstep.1", may_hold=_BREATH | {"door"}),
    "laughing": Sense(
        ("Laughter",), "laughter.1", may_hold=_BREATH | {"applause", "hand clapping"}
    ),
    "brushing teeth": Sense(("Toothbrush",), "toothbrush.1", may_hold=_BREATH | _MACHINE | _WATER),
    "snoring": Sense(("Snoring",), "snoring.1", may_hold=_BREATH),
    "drinking sipping": Sense((), "drinking.1", may_hold=_BREATH | _WATER),
    "door wood knock": Sense(("Knock",), "knock.1", may_hold=_CLICKS),
    "mouse click": Sense(("Clicking",), "mouse click.1", may_hold=_MACHINE | _CLICKS),
    "keyboard typing": Sense(("Computer keyboard",), "typing.1", may_hold=_MACHINE | _CLICKS),
    "door wood creaks": Sense(("Squeak",), "creak.1"),
    "can opening": Sense(may_hold=_CLICKS | _MACHINE | _WATER),
    "washing machine": Sense((), "washing machine.1", may_hold=_MACHINE | _WATER | {"motor"}),
    "vacuum cleaner": Sense(("Vacuum cleaner",), "vacuum cleaner.1", may_hold=_MACHINE),
    "clock alarm": Sense(("Alarm clock",), "alarm clock.1", may_hold=_MACHINE | _CLICKS),
    "clock tick": Sense(("Tick-tock",), "tick.1", "clock.1", _MACHINE | _CLICKS),
    "glass breaking": Sense(("Shatter",), may_hold=_words("explosion")),
    "helicopter": Sense(("Helicopter",), "helicopter.1", may_hold=_FLYING | {"airplane", "plane"}),
    "chainsaw": Sense(("Chainsaw",), "chainsaw.1", may_hold=_MACHINE | {"motor"}),
    "siren": Sense(("Siren",), "siren.4", may_hold=_VEHICLES),
    "car horn": Sense(("Vehicle horn",), "car horn.1", may_hold=_VEHICLES),
    "engine": Sense(("Engine",), "engine.1", may_hold=_VEHICLES | _MACHINE),
    "train": Sense(("Train",), "train.1", may_hold=_VEHICLES | {"squeak"}),
    "church bells": Sense(("Church bell",), "church bell.1"),
    "airplane": Sense(("Fixed-wing aircraft",), "airplane.1", may_hold=_FLYING),
    "fireworks": Sense(("Fireworks",), "firework.1"),
    "hand saw": Sense(("Sawing",), "hand saw.1", may_hold=_MACHINE),
}

# Hypernyms that a person would ask for; others are too general, or for experts.
KINDS = frozenset([
    "aircraft", "alarm", "amphibian", "animal", "appliance", "bird", "bovine", "breathing",
    "canine", "cattle", "chicken", "clock", "domestic animal", "domestic fowl", "engine",
    "explosion", "farm animals", "feline", "fowl", "hand tool", "home appliance",
    "human voice", "insect", "liquid", "livestock", "machine", "mammal",
    "motor", "motor vehicle", "ocean", "pets", "power tool", "precipitation",
    "public transport", "rail transport", "storm", "swine", "timepiece", "tool", "vehicle",
    "water", "weather",
])  # fmt: skip

# Synonyms that nobody would ask for: Latin, slang, other meanings, experts' words.
UNASKED = frozenset([
    "air current", "anuran", "batrachian", "biddy", "bovinae", "breaker", "call",
    "canis familiaris", "carpenter's saw", "crepitation", "current of air", "eggbeater",
    "external respiration", "grunter", "imbibing", "imbibition", "moo-cow", "pyrotechnic",
    "salientian", "song", "squealer", "sternutation", "stertor", "sus scrofa", "tears", "toad",
    "toad frog", "true cat", "ventilation", "whirlybird",
])  # fmt: skip
