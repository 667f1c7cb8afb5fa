"""What ESC-50's classes are called, and which sounds may never serve as each other's absences.

A negative question about a sound that is in fact there teaches, and measures, a wrong absence, so a
name is asked as absent only if it shares neither a content word nor a group with any sound of the
clip.
"""

from __future__ import annotations

import re
from functools import cache

# class: (super-category, what else it is called)
ESC50: dict[str, tuple[str, tuple[str, ...]]] = {
    "dog": ("animals", ("dog barking", "barking dog", "bark")),
    "rooster": ("animals", ("rooster crowing", "cock crowing")),
    "pig": ("animals", ("pig grunting", "pig oinking")),
    "cow": ("animals", ("cow mooing", "cattle")),
    "frog": ("animals", ("frog croaking", "croaking")),
    "cat": ("animals", ("cat meowing", "meow")),
    "hen": ("animals", ("hen clucking", "chicken clucking")),
    "insects": ("animals", ("insect buzzing", "buzzing insects")),
    "sheep": ("animals", ("sheep bleating", "bleating")),
    "crow": ("animals", ("crow cawing", "cawing")),
    "rain": ("nature", ("rainfall", "rain falling")),
    "sea waves": ("nature", ("ocean waves", "waves breaking")),
    "crackling fire": ("nature", ("fire crackling", "campfire")),
    "crickets": ("nature", ("crickets chirping", "cricket")),
    "chirping birds": ("nature", ("birds chirping", "birdsong", "bird singing")),
    "water drops": ("nature", ("water dripping", "dripping")),
    "wind": ("nature", ("wind blowing", "gust of wind")),
    "pouring water": ("nature", ("water being poured", "pouring a drink")),
    "toilet flush": ("nature", ("toilet flushing", "flushing toilet")),
    "thunderstorm": ("nature", ("thunder", "thunderclap")),
    "crying baby": ("human", ("baby crying", "infant crying")),
    "sneezing": ("human", ("sneeze", "person sneezing")),
    "clapping": ("human", ("applause", "hands clapping")),
    "breathing": ("human", ("person breathing", "heavy breathing")),
    "coughing": ("human", ("cough", "person coughing")),
    "footsteps": ("human", ("walking", "steps")),
    "laughing": ("human", ("laughter", "person laughing")),
    "brushing teeth": ("human", ("tooth brushing", "toothbrush")),
    "snoring": ("human", ("snore", "person snoring")),
    "drinking sipping": ("human", ("sipping", "drinking", "slurping")),
    "door wood knock": ("interior", ("door knock", "knocking on a door", "knocking")),
    "mouse click": ("interior", ("computer mouse", "clicking a mouse")),
    "keyboard typing": ("interior", ("typing", "computer keyboard")),
    "door wood creaks": ("interior", ("door creaking", "creaking door")),
    "can opening": ("interior", ("opening a can", "can being opened")),
    "washing machine": ("interior", ("laundry machine", "washer")),
    "vacuum cleaner": ("interior", ("vacuuming", "hoover")),
    "clock alarm": ("interior", ("alarm clock", "alarm clock ringing")),
    "clock tick": ("interior", ("clock ticking", "ticking")),
    "glass breaking": ("interior", ("breaking glass", "glass shattering")),
    "helicopter": ("urban", ("helicopter flying", "chopper")),
    "chainsaw": ("urban", ("chain saw", "chainsaw running")),
    "siren": ("urban", ("emergency siren", "ambulance siren", "police siren")),
    "car horn": ("urban", ("car horn honking", "honking")),
    "engine": ("urban", ("engine running", "motor")),
    "train": ("urban", ("train passing", "railway")),
    "church bells": ("urban", ("bells ringing", "church bell")),
    "airplane": ("urban", ("plane", "airplane flying", "aircraft")),
    "fireworks": ("urban", ("firecrackers", "fireworks exploding")),
    "hand saw": ("urban", ("sawing", "sawing wood")),
}

_GROUPS: tuple[str, ...] = (
    "siren alarm horn whistle",
    "bell bells doorbell alarm telephone",
    "clock watch ticking tick alarm metronome",
    "horn honking honk",
    "engine motor motorcycle car truck bus airplane plane aircraft jet helicopter chopper propeller"
    " vehicle train railway chainsaw pump compressor machine vacuum vacuuming hoover washer laundry"
    " fan furnace drilling jackhammer",
    "saw sawing chainsaw chain circular axe",
    "rain rainfall heavy water drops dripping pouring poured tap shower waterfall toilet flush"
    " flushing sea ocean waves splash swimming wading bubbles bubbling boiling washing drink"
    " sipping drinking underwater",
    "thunder thunderstorm thunderclap explosion exploding fireworks firecrackers gunshot gun"
    " shotgun cannon earthquake rumble fuse bullet rain",
    "fire crackling campfire flames burning furnace sizzling fireplace lava vinyl",
    "wind gust blowing whooshing windmill leaves",
    "bird birds birdsong chirping canary robin cardinal jay crow rooster parrot seagull seagulls"
    " loon owl pigeon toucan quail swan turkey woodpecker penguin peacock",
    "hen chicken rooster clucking cock turkey crowing",
    "goose duck honking quacking",
    "insect insects buzzing crickets cricket grasshopper cicadas bee bees mosquito swarm chirping",
    "dog puppy barking bark wolf wolves coyote whimpering howling growling",
    "cat kitten meow meowing",
    "lion tiger leopard jaguar bear growling roaring",
    "pig grunting squealing oinking",
    "cow cattle mooing milking",
    "sheep lamb goat bleating",
    "baby infant crying crying-out",
    "laughing laughter hyena",
    "clapping applause hands",
    "breathing breath snoring snore snorting diver",
    "person man woman people crowd speaking talking singing choir screaming",
    "cough coughing sneeze sneezing vomiting",
    "knock knocking hammer hammering drum drumming woodpecker punching",
    "door gate creaking creaks tree",
    "keyboard typing typewriter mouse click clicking computer",
    "drinking sipping slurping munching biting eating food",
    "glass bottle clinking breaking shattering",
    "footsteps steps walking stomping",
    "brushing toothbrush tooth teeth brush rubbing scratching",
    "can opening toaster cash coin coins",
    "violin fiddle viola cello string bass double",
    "trumpet trombone tuba brass horn fanfare",
    "flute piccolo recorder ocarina pan whistling whistle shehnai",
    "clarinet oboe bassoon saxophone",
    "organ accordion harmonica bagpipes electric church",
    "guitar banjo harp koto sitar dulcimer harpsichord tambura kalimba electric",
    "xylophone marimba vibraphone glockenspiel celesta music tubular bells steel kalimba",
    "drum drums timpani taiko tabla cymbal snare tom-tom hi-hat shaker gong",
    "piano harpsichord celesta",
)
_GENERIC = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "on",
        "in",
        "being",
        "person",
        "playing",
        "sound",
        "sounds",
        "wood",
        "wooden",
        "metal",
        "falling",
        "passing",
        "calling",
        "running",
        "flying",
        "hitting",
        "ringing",
        "heavy",
        "hard",
        "soft",
        "down",
        "off",
        "out",
        "up",
    ]
)


def names_of(label: str) -> tuple[str, ...]:
    """Return what a label may be called in a question, the label itself first."""
    return (label, *ESC50[label][1]) if label in ESC50 else (label,)


def may_be_confused(label: str, other: str) -> bool:
    """Tell whether `other` could be heard, or meant, where `label` is present."""
    return bool(_words(label) & _words(other) or _groups(label) & _groups(other))


@cache
def _words(label: str) -> frozenset[str]:
    text = " ".join(names_of(label))
    return frozenset(re.findall(r"[a-z-]+", text)) - _GENERIC


@cache
def _groups(label: str) -> frozenset[int]:
    return frozenset(k for k, group in enumerate(_GROUPS) if _words(label) & set(group.split()))
