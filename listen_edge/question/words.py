"""The closed lists of words that the grammar of questions knows. An entry may hold spaces."""

from __future__ import annotations

from listen_edge.concepts import ESC50


def words_in(text: str) -> frozenset[str]:
    """Return the entries of a list between spaces; an underscore is a space within one."""
    return frozenset(word.replace("_", " ") for word in text.split())


BE = words_in("is are was were am be been")
HAVE = words_in("has have had having")
DO = words_in("do does did")
MODAL = words_in("can could will would shall should may might must")
AUXILIARIES = BE | HAVE | DO | MODAL

ARTICLES = words_in("a an the")
DETERMINERS = ARTICLES | words_in(
    "any some this that these those my your our their its another such other"
)
PERSONS = words_in("i you we they he she one anyone anybody someone somebody everyone")
SOMEBODY = words_in(
    "anyone anybody someone somebody everyone everybody anything something everything it they he"
    " she"
)
# What a possessive before a sound says of it is nothing: "my neighbour's dog barking".
OWNERS = frozenset(
    f"{person}'s" for person in words_in("neighbour neighbor someone somebody friend mum mom dad")
)
_AUDIO = words_in(
    "audio recording clip sound file room track sample window stream microphone segment soundtrack"
    " audio_clip audio_file audio_recording sound_clip sound_file"
)
_NEAR = words_in(
    "background foreground distance vicinity area neighbourhood neighborhood house home building"
    " street surroundings environment next_room other_room"
)
THINGS = words_in("it this that these those") | frozenset(
    f"{article} {thing}" for article in ("the", "this", "that", "my") for thing in _AUDIO
)

_THANKS = words_in("thank_you_very_much thank_you_so_much thanks_a_lot thanks_so_much many_thanks")
POLITE = (
    words_in(
        "please kindly hi hello hey ok okay so well now just maybe perhaps possibly sorry excuse_me"
        " listen-edge thanks thank_you alright quickly good_morning good_evening , "
        " alexa siri google"
    )
    | _THANKS
)
ADVERBS = words_in(
    "really actually currently presently now ever already also just possibly maybe perhaps clearly"
    " faintly definitely certainly probably perhaps by_any_chance at_the_moment right_now likely"
    " suddenly constantly continuously repeatedly occasionally loudly quietly softly"
    " please kindly still somewhere"
)
HEAR_BASE = words_in(
    "hear detect listen perceive recognise recognize identify notice spot sense find catch"
    " discern distinguish check_for look_for watch_for watch_out_for monitor_for look_out_for"
    " scan_for pick_up make_out"
)
HEAR = HEAR_BASE | words_in(
    "hears heard hearing detects detected detecting listening listens listened perceived"
    " perceiving recognised recognized recognising recognizing identified identifying noticed"
    " noticing spotted spotting sensed sensing found finding caught picking_up picked_up"
    " making_out made_out checking_for looking_for watching_for monitoring_for see seeing"
)
AFTER_HEAR = words_in("carefully closely for out_for to , me us a_bit_of please")
TELL = words_in(
    "tell telling ask indicate let inform alert notify warn ping report check checking confirm"
    " verify determine know establish find_out figure_out work_out remind answer see"
)
TELL_WHOM = words_in("me us to_me know please , for_me back")
WANT = words_in(
    "want wants like need love wish try able have going mind wondering happen happening happens"
    " want_you need_you like_you so_kind_as kind_enough"
)
THINK = words_in(
    "think thinks believe guess suspect wonder wondering hope sure curious bet know imagine"
    " interested was_wondering"
)
CONTAIN = words_in(
    "contain contains contained include includes have has hold holds feature features capture"
    " captures captured show shows"
)
RESEMBLE = words_in("sound_like sounds_like sounded_like seem_like seems_like look_like looks_like")
TRUE = words_in("true possible likely probable correct right certain clear the_case a_fact")
CHANCE = words_in(
    "any_chance a_chance any_possibility a_possibility any_sign any_signs a_sign signs any_hint"
    " a_hint any_trace a_trace traces any_evidence evidence any_indication an_indication the_chance"
    " the_presence presence"
)
SEEM = words_in("seem seems seemed appear appears appeared happen happens exist to be been have")
IF = words_in("if whether in_case whether_or_not")
WHEN = words_in("when whenever once as_soon_as should that on about of for to the_moment")

DEGREES = words_in(
    "very really quite rather so too extremely pretty somewhat slightly super loud quiet faint"
    " distant audible noticeable sudden lot_of lots_of bit_of kind_of sort_of type_of hint_of"
    " sign_of signs_of trace_of evidence_of presence_of instance_of example_of plenty_of bunch_of"
    " total complete"
)
SOUND_OF = frozenset(
    f"{sound} {of}"
    for sound in ("sound", "sounds", "noise", "noises")
    for of in ("of", "from", "like", "made by", "coming from", "that sounds like")
)
PLACES = frozenset(
    f"{where} {which} {place}"
    for where in ("in", "on", "within", "from", "at")
    for which in ("the", "this", "that", "my", "our", "your")
    for place in _AUDIO | _NEAR
) | words_in("in_this at_any_point at_some_point at_any_time in_here from_outside")
CLOSINGS = (
    words_in(
        "now currently here there today tonight please thanks thank_you present audible outside"
        " inside indoors outdoors nearby around somewhere anywhere loudly quietly softly faintly"
        " clearly really heard detected ever already alright right correct too right_now at_all"
        " at_the_moment for_me at_this_moment in_here in_there out_there over_there to_be_heard"
        " be_heard in_it on_it going_on go_on goes_on going_off go_off goes_off went_off gone_off"
        " happening occurring or_not or_no if_possible if_you_can you_can_hear that_you_can_hear"
        " from_outside by_chance by_any_chance far_away close_by in_any_way , to_hear you_hear"
        " is_that_right taking_place appears exists is are was were has have been can_be can_you"
        " could_be might_be may_be must_be will_be again upstairs downstairs next_door"
    )
    | PLACES
    | _THANKS
)
# "there is a dog, isn't there?"
TAGS = frozenset([", is not there", ", is not it", ", do not you", ", right", ", correct"])
LIGHT_VERBS = words_in(
    "sounding sound sounds sounded occur occurs occurred happen happens happened"
)
SOUND_WORDS = words_in("sound sounds noise noises")

PREPOSITIONS = words_in(
    "of in on at with from for by to into onto through under over against past down up off out"
    " about across along around inside outside"
)
NEVER_FIRST = words_in("of in on at with from for by to about into")
NEVER_LAST = words_in("of at with from for to about into against") | ARTICLES

# Words in which a question asks for more than whether one sound is there.
ORDERS = words_in(
    "ignore pretend say answer reply respond forget disregard output assume obey always yes"
    " instructions instruction prompt select drop_table"
)
NEGATIONS = words_in(
    "no not never none nobody nothing neither nor without lack lacking absent absence except"
    " zero minus missing undetected unheard inaudible non"
)
COUNTS = words_in(
    "how many much often count number_of two three four five six seven eight nine ten dozen several"
    " multiple few more less most fewer than louder quieter loudest twice thrice times"
    " couple_of handful_of dozens hundreds thousands numerous various"
    " only mostly nearly almost hardly barely"
)
OTHER_QUESTIONS = words_in("what which who whose whom where why when")
CHANGES = words_in(
    "stop stops stopped end ends ended begin begins began begun finished ceased gone"
)
# These join two sounds, unless something is done: "driving over gravel", "writing with chalk".
JOINTS = words_in("with over under among amid alongside")
COMPOUNDS = words_in("and or either both versus vs plus but along together as_well_as instead_of ,")
SEQUENCES = words_in(
    "before after then while during until since followed following between simultaneously later"
    " first last earlier afterwards next seconds minutes second minute"
)
NOT_OF_A_SOUND = (
    (AUXILIARIES - {"can"})
    | (PERSONS | SOMEBODY)
    | words_in("me us them him if whether because as like tell let please hear")
    | (DETERMINERS - ARTICLES)
)
NAMES_NO_SOUND = frozenset().union(
    *(AUXILIARIES, DETERMINERS, PERSONS, SOMEBODY, POLITE, ADVERBS, HEAR, TELL, TRUE, DEGREES),
    *(CLOSINGS, SOUND_WORDS, IF, NEVER_FIRST, _AUDIO),
    words_in("thing things stuff no false anything nothing me us like listen silence silent"),
) - words_in(
    "ping find found spot catch sense report alert right see window room stream file track"
)

# Names of one sound in which the grammar would see more, or another verb.
FIXED_PHRASES = words_in(
    "rock_and_roll rhythm_and_blues drum_and_bass cutlery_and_silverware hook_and_loop"
    " pots_and_pans dishes_and_pots_and_pans monkey_or_ape thunder_and_lightning"
    " lightning_and_thunder open_or_close filling_or_washing bow_and_arrow pestle_and_mortar"
    " mortar_and_pestle stop_and_go smoke_and_carbon_monoxide_alarm fill_with_liquid"
    " large_room_or_hall urban_or_manmade rural_or_natural call_and_response r_and_b"
)
KNOWN = frozenset(name for label, (_, more) in ESC50.items() for name in (label, *more)) | words_in(
    "loud_bang train_whistle steam_whistle bird_call phone_call war_cry battle_cry quiet_room_tone"
)
# Words that name one thing between commas, as in "whack, thwack".
SAME = tuple(
    words_in(line)
    for line in (
        "whack thwack slap smack",
        "smash crash",
        "thump thud",
        "chuckle chortle",
        "crying sobbing",
        "wail moan",
        "burping eructation burp belch",
        "chewing mastication",
        "neigh whinny",
        "donkey ass",
        "cattle bovinae",
        "crowing cock-a-doodle-doo",
        "chirp tweet",
        "pigeon dove",
        "gull seagull",
        "fly housefly",
        "violin fiddle",
        "waves surf",
        "boat vehicle",
        "sailboat ship",
        "motorboat speedboat",
        "subway metro underground",
        "propeller airscrew",
        "aircraft airplane",
        "tap faucet",
        "cutlery silverware",
        "shaver razor",
        "detector alarm",
        "ratchet pawl",
        "gunshot gunfire",
        "burst pop",
        "chink clink",
        "splash splatter",
        "trickle dribble",
        "whoosh swoosh swish",
        "crumpling crinkling",
        "beep bleep",
        "jingle tinkle",
        "accelerating revving vroom",
        "narration monologue",
        "walk footsteps",
        "wagon car",
        "bark bow-wow woof",
        "speech speaking",
        "heart heartbeat",
        "tinnitus ringing",
        "hubbub speech",
        "animals pets",
        "livestock animals",
        "dialing dtmf",
        "race racing",
        "buzz alert",
        "velcro fastener",
        "horn honking",
        "dog puppy",
        "cat kitten",
        "meow miaow",
    )
)
