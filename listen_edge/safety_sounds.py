"""The sounds that safety and home users ask about: what `mine` looks for unless it is told.

In it is nothing that any home holds at any hour (speech, steps, water, doors): hours without those
are hard to come by, and a wrong "absent" would be learned from them.
"""

from __future__ import annotations

SAFETY_SOUNDS: tuple[str, ...] = (
    # alarms and signals
    *("alarm", "siren", "police siren", "ambulance siren", "fire engine siren", "air raid siren"),
    *("smoke alarm", "smoke detector", "carbon monoxide alarm", "fire alarm", "fire bell"),
    *("evacuation alarm", "low battery chirp", "car alarm", "alarm bell", "alarm clock"),
    *("reversing beeps", "railroad crossing bell", "foghorn", "ship horn", "train horn"),
    *("car horn", "truck horn", "bicycle bell", "whistle", "steam whistle", "beep", "buzzer"),
    *("doorbell", "door buzzer", "knock", "door knock", "telephone ringing", "ringtone"),
    *("kitchen timer", "microwave beep", "bell", "church bell"),
    # breaking, falling, forcing
    *("glass breaking", "glass shattering", "shatter", "smash", "crash", "car crash", "slam"),
    *("wood breaking", "tree falling", "rocks falling", "building collapsing", "thump"),
    *("hammering", "drill", "chainsaw", "sawing", "jackhammer"),
    # shots and blasts
    *("gunshot", "machine gun", "shotgun blast", "explosion", "bang", "fireworks"),
    *("firecracker", "balloon popping", "thunder"),
    # fire, gas, electricity
    *("fire", "fire crackling", "gas leaking", "steam hissing", "electric sparks", "burning fuse"),
    "water dripping",
    # people in need
    *("screaming", "person screaming", "shout", "yell", "crying", "crying baby", "sobbing"),
    *("person groaning", "whimper", "gasp", "wheeze", "person vomiting", "person coughing"),
    *("snoring", "children shouting"),
    # animals
    *("dog barking", "dog growling", "dog whimpering", "wolves howling", "howl", "growling"),
    *("cat meowing", "cat hissing", "snake hissing", "rattlesnake rattling", "rooster crowing"),
    *("bee buzzing", "mosquito buzzing"),
    # vehicles and machines
    *("helicopter", "motorcycle", "tires screeching", "skidding", "engine starting"),
    *("vacuum cleaner", "lawn mower"),
)

# Labels of what is listened for most, and so trained most: faint, short and among other sounds.
MOST_ASKED: tuple[str, ...] = (
    *("siren", "police siren", "ambulance siren", "fire engine siren", "air raid siren"),
    *("nuclear alarm siren", "smoke alarm", "fire alarm", "car alarm", "doorbell"),
    *("car horn", "car horn honking", "door knock", "knocking on a door", "glass breaking"),
    *("gunshot", "shotgun blast", "machine gun", "explosion", "crying baby", "dog barking"),
    *("person screaming", "man screaming", "woman screaming"),
)
