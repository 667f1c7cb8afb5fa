"""Hand-made tables of what kind of thing makes a sound: by words, so for labels of any data set.

A phrase stands with underscores; each is looked up in the singular. Kinds are plain words a person
would ask with. What is true of only some recordings of a label stands nowhere.
"""

from __future__ import annotations

from listen_edge.ontology import name_key

# kind -> kinds above it, the nearest first
KINDS_ABOVE: dict[str, tuple[str, ...]] = {
    "animal": (),
    "pet": ("domestic animal", "animal"),
    "domestic animal": ("animal",),
    "farm animal": ("animal",),
    "wild animal": ("animal",),
    "big cat": ("wild animal", "animal"),
    "sea animal": ("wild animal", "animal"),
    "monkey or ape": ("wild animal", "animal"),
    "insect": ("animal",),
    "bird": ("animal",),
    "farm bird": ("bird", "farm animal", "animal"),
    "water bird": ("bird", "animal"),
    "songbird": ("bird", "animal"),
    "person": (),
    "human voice": ("person",),
    "body sound": ("person",),
    "footsteps": ("person",),
    "vehicle": ("machine",),
    "road vehicle": ("vehicle", "machine"),
    "rail vehicle": ("vehicle", "machine"),
    "aircraft": ("vehicle", "machine"),
    "machine": (),
    "household appliance": ("machine",),
    "power tool": ("tool", "machine"),
    "tool": (),
    "weapon": (),
    "firearm": ("weapon",),
    "loud bang": (),
    "alarm": (),
    "warning signal": ("alarm",),
    "horn": ("warning signal",),
    "whistle": (),
    "bell": (),
    "clock": (),
    "door": (),
    "computer": (),
    "money": (),
    "weather": (),
    "water": (),
    "fire": (),
    "musical instrument": ("music",),
    "string instrument": ("musical instrument", "music"),
    "bowed instrument": ("string instrument", "musical instrument", "music"),
    "wind instrument": ("musical instrument", "music"),
    "brass instrument": ("wind instrument", "musical instrument", "music"),
    "woodwind instrument": ("wind instrument", "musical instrument", "music"),
    "keyboard instrument": ("musical instrument", "music"),
    "percussion instrument": ("musical instrument", "music"),
    "drum": ("percussion instrument", "musical instrument", "music"),
    "music": (),
}

_KIND_WORDS: dict[str, str] = {
    "pet": "dog puppy cat kitten canary parrot",
    "farm animal": "pig cow sheep lamb goat donkey horse milking_cow",
    "wild animal": "wolf coyote bear bat camel elephant giraffe zebra hyena raccoon squirrel frog"
    " rattlesnake snake",
    "big cat": "lion tiger leopard jaguar",
    "sea animal": "whale beluga_whale dolphin seal sea_lion",
    "monkey or ape": "monkey gorilla",
    "insect": "insect bee swarm_of_bee cicada cricket grasshopper mosquito fly wasp",
    "bird": "bird crow blue_jay loon owl peacock penguin pigeon quail toucan woodpecker",
    "songbird": "chirping_bird robin cardinal bird_chirping",
    "farm bird": "rooster hen chicken turkey duck goose",
    "water bird": "seagull swan",
    "human voice": "speaking laughing laughter screaming crying_out crying_baby baby_crying singing"
    " speech talking groaning beatboxing choir_singing evil_laughter man_laughing crowd_talking"
    " person_crying_out person_speaking shout",
    "body sound": "sneezing coughing breathing snoring burping heartbeat finger_snapping clapping"
    " hand_clapping applause chest_thumping slapping_cheek vomiting sneeze cough",
    "footsteps": "foot_stomping",
    "person": "brushing_tooth drinking_sipping slurping munching biting footstep swimming"
    " wading_in_water scuba_diver whistling_a_tune punching people_in_a_tavern drinking",
    "vehicle": "ship_horn boat ship",
    "road vehicle": "car truck bus motorcycle",
    "rail vehicle": "train steam_engine",
    "aircraft": "airplane helicopter jet plane",
    "machine": "engine air_compressor oil_pump elevator windmill cash_register printer"
    " roller_coaster",
    "household appliance": "washing_machine vacuum_cleaner electric_fan sewing_machine toaster"
    " hair_dryer blender",
    "power tool": "chainsaw circular_saw drilling jackhammer drill",
    "tool": "hand_saw saw axe blacksmith hammer chiseling shovel scissors",
    "weapon": "sword bow drawing_a_bow",
    "firearm": "gunshot gun machine_gun shotgun cannon bullet",
    "loud bang": "explosion firework thunder thunderstorm",
    "alarm": "clock_alarm alarm_clock fire_alarm smoke_alarm",
    "warning signal": "siren alarm",
    "horn": "car_horn train_horn squeeze_horn air_horn foghorn",
    "whistle": "steam_whistle train_whistle",
    "bell": "bell church_bell doorbell",
    "clock": "clock_tick clock_ticking watch_ticking",
    "door": "door gate",
    "computer": "mouse_click keyboard_typing",
    "money": "coin",
    "weather": "rain wind",
    "water": "toilet_flushing sea_wave water water_drop pouring_water toilet_flush ocean_wave"
    " waterfall tap shower bubble underwater splash",
    "fire": "fire crackling_fire burning_fuse flame furnace striking_a_match",
    "string instrument": "guitar banjo harp koto sitar tambura dulcimer string_orchestra",
    "bowed instrument": "violin fiddle viola cello double_bass",
    "brass instrument": "french_horn trombone trumpet tuba brass_section trumpet_fanfare",
    "woodwind instrument": "bassoon clarinet flute oboe ocarina pan_flute piccolo recorder"
    " saxophone shehnai",
    "wind instrument": "bagpipe didgeridoo harmonica accordion",
    "keyboard instrument": "piano church_organ electric_organ harpsichord celesta organ",
    "percussion instrument": "cowbell cymbal glockenspiel gong hi_hat kalimba marimba shaker"
    " tubular_bell vibraphone xylophone wooden_frog_guiro",
    "drum": "bass_drum drum_kit drum_roll snare_drum steel_drum tabla taiko timpani tom_tom",
    "music": "music_box",
}
# sounds that belong to two kinds
_ALSO: dict[str, tuple[str, ...]] = {
    "train horn": ("horn", "rail vehicle"),
    "ship horn": ("horn", "vehicle"),
    "truck horn": ("horn", "road vehicle"),
    "car horn": ("horn", "road vehicle"),
    "train whistle": ("whistle", "rail vehicle"),
    "ship bell": ("bell",),
    "bicycle bell": ("bell",),
    "steam whistle": ("whistle",),
    "people screaming": ("human voice",),
    "tubular bell": ("bell", "percussion instrument"),
    "cowbell": ("bell", "percussion instrument"),
    "nuclear alarm siren": ("warning signal",),
    "railroad crossing bell": ("bell", "warning signal"),
    "alarm clock": ("alarm", "clock"),
    "clock alarm": ("alarm", "clock"),
    "thunderstorm": ("weather", "loud bang"),
    "thunder": ("weather", "loud bang"),
    "heavy rain": ("weather", "water"),
    "rain": ("weather", "water"),
    "doorbell": ("bell", "door"),
    "drum kit": ("drum",),
    "singing": ("human voice", "music"),
    "choir": ("human voice", "music"),
    "beatboxing": ("human voice", "music"),
    "wading in water": ("person", "water"),
    "swimming": ("person", "water"),
    "scuba diver": ("person", "water"),
    "milking a cow": ("farm animal",),
    "washing machine": ("household appliance", "water"),
    "robin singing": ("songbird",),
    "canary singing": ("songbird", "pet"),
    "cardinal singing": ("songbird",),
    "whale singing": ("sea animal",),
    "hyena laughing": ("wild animal",),
    "seagull crying": ("water bird",),
    "parrot": ("bird", "pet"),
    "parrot whistling": ("bird", "pet"),
    "penguin": ("water bird",),
    "jet flying": ("aircraft",),
    "car alarm": ("alarm", "road vehicle"),
    "car crash": ("road vehicle",),
}

# AudioSet's display names -> the plain word that is asked with
PLAIN_KINDS: dict[str, str] = {
    "Animal": "animal",
    "Domestic animals, pets": "domestic animal",
    "Livestock, farm animals, working animals": "farm animal",
    "Bird": "bird",
    "Insect": "insect",
    "Fowl": "bird",
    "Human voice": "human voice",
    "Vehicle": "vehicle",
    "Motor vehicle (road)": "road vehicle",
    "Rail transport": "rail vehicle",
    "Aircraft": "aircraft",
    "Boat, Water vehicle": "vehicle",
    "Alarm": "alarm",
    "Tools": "tool",
    "Power tool": "power tool",
    "Water": "water",
    "Fire": "fire",
    "Musical instrument": "musical instrument",
    "Music": "music",
    "Percussion": "percussion instrument",
    "Brass instrument": "brass instrument",
    "Plucked string instrument": "string instrument",
    "Bowed string instrument": "string instrument",
    "Wind instrument, woodwind instrument": "wind instrument",
    "Keyboard (musical)": "keyboard instrument",
    "Bell": "bell",
    "Clock": "clock",
    "Door": "door",
}


def _kinds() -> dict[str, tuple[str, ...]]:
    kinds = {
        name_key(word): (kind,) for kind, words in _KIND_WORDS.items() for word in words.split()
    }
    return kinds | {name_key(name): both for name, both in _ALSO.items()}


KINDS: dict[str, tuple[str, ...]] = _kinds()
