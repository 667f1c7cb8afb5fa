"""What is heard to happen: verbs of sound, and their -ing form from any tense.

"a dog barks", "has a dog barked" and "did a dog bark" name one sound, which training calls "dog
barking". Knows nothing of questions.
"""

from __future__ import annotations

import re

from listen_edge.question.words import words_in

# Their bare form after a noun is what that noun does: "dog bark", but not "door knock".
VOICES = words_in(
    "bark meow miaow purr growl howl whimper yelp moo bleat neigh whinny bray oink cluck"
    " quack croak hoot caw coo ribbit cough sneeze snore giggle sob yawn cry"
)
# Their -s form is as often a plural: "wind chimes", "drum beats", "bird calls".
_ALSO_NOUNS = words_in(
    "beat blast blow bounce bubble burn call chime clap clink cross crow cut drill drip drive"
    " drop drum fall fire flow fly grind hammer howl hum jingle land move pass play pop pump"
    " rattle reverse ring roll run saw scratch shake shoot sip slide spin splash spray stamp"
    " start step strike swallow swing tap tick trumpet turn walk whistle wind wipe work"
)
_OTHERS = words_in(
    "accelerate applaud argue babble backfire bang beep bellow belch bite blare blast bleed"
    " blip boil boom brake break breathe brush bump burp burst buzz cackle chat chatter cheer"
    " chew chirp chop chortle chuckle clack clang clank clatter clear click close clunk"
    " collapse collide crack crackle crash creak crinkle crumple crunch crush ding dong drag"
    " drink drone eat explode fart fizz flap flush fry gallop gargle gasp gobble groan grumble"
    " grunt gurgle hatch hiccup hiss hit honk idle jangle jump kick knock laugh leak moan"
    " mumble munch murmur mutter open patter peep pluck pour puff punch push rain rap rasp rev"
    " rip ripple roar rub rumble rush rustle scrape scream screech scrub shatter shout shriek"
    " shuffle shut sigh sing sizzle skid slam slap slurp smack smash snap snarl sniff snip"
    " snort speak splatter splinter squawk squeak squeal squelch squish stomp stumble sweep"
    " swim swish swoosh talk tear thud thump thunder tinkle toll toot topple trickle tweet"
    " twang type vacuum vibrate vomit wail warble weep wheeze whine whimper whirr whisper"
    " whoop whoosh yap yell yodel yowl zap zip zoom"
)
VERBS = VOICES | _ALSO_NOUNS | _OTHERS

# past and participle, where they are not -ed
_IRREGULAR = {
    "beat": "beat beaten", "bite": "bit bitten", "bleed": "bled", "blow": "blew blown",
    "break": "broke broken", "burn": "burnt burned", "burst": "burst", "cut": "cut",
    "drink": "drank drunk", "drive": "drove driven", "eat": "ate eaten", "fall": "fell fallen",
    "fly": "flew flown", "grind": "ground", "hit": "hit", "ring": "rang rung", "run": "ran",
    "saw": "sawed sawn", "shake": "shook shaken", "shoot": "shot", "shut": "shut",
    "sing": "sang sung", "slide": "slid", "speak": "spoke spoken", "spin": "spun",
    "strike": "struck", "sweep": "swept", "swim": "swam swum", "swing": "swung",
    "tear": "tore torn", "weep": "wept", "wind": "wound",
}  # fmt: skip
_DOUBLED = re.compile(r"(?:^|[^aeiou])[aeiou][bdgklmnprtv]$")  # "clap", not "roar"


def ing(verb: str) -> str:
    """Return the -ing form of a verb's base form."""
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return f"{verb[:-1]}ing"
    return f"{_stem(verb)}ing"


def _stem(verb: str) -> str:
    """Return what -ed and -ing are put to, its last consonant doubled where English does."""
    one_syllable = len(re.findall(r"[aeiouy]+", verb)) == 1
    doubled = one_syllable and _DOUBLED.search(verb)
    return verb + verb[-1] if doubled else verb


def _third(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "sh", "ch", "x", "z")) else f"{verb}s"


def _past(verb: str) -> list[str]:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb].split()
    if verb.endswith("e"):
        return [f"{verb}d"]
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return [f"{verb[:-1]}ied"]
    return [f"{_stem(verb)}ed"]


UNLIKE_NOUNS = VERBS - _ALSO_NOUNS
BASE = {verb: ing(verb) for verb in VERBS}
THIRD = {_third(verb): ing(verb) for verb in VERBS}
PAST = {past: ing(verb) for verb in sorted(VERBS) for past in _past(verb)}
# forms that are verbs whatever stands around them: not "wind chimes", "a gun shot"
PLAIN = {
    **{form: ing for form, ing in THIRD.items() if form not in {_third(v) for v in _ALSO_NOUNS}},
    **{past: ing for past, ing in PAST.items() if past not in VERBS | {"shot", "ground", "wound"}},
    **{verb: ing(verb) for verb in VOICES},
}
