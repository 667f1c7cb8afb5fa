"""Which words are English, and that other languages are not taken for a sound."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from listen_edge.errors import ListenEdgeError
from listen_edge.question import parse_concept
from listen_edge.question.vocabulary import is_familiar
from listen_edge.train.texts.vocabulary import vocabulary, wordnet_words, write_vocabulary
from tests.test_question import known_names

# Names of sounds, or of what makes them.
FOREIGN = {
    "German": "Hund bellt Hundegebell Katze Sirene Glasbruch Säugling weint Babygeschrei Vogel"
    " Vogelgezwitscher Donner Regen Gewitter Feuerwerk Rauchmelder Türklingel Klingel Wecker"
    " Hubschrauber Flugzeug Zug Auto Hupe Staubsauger Waschmaschine Schritte Lachen Husten Niesen"
    " Schnarchen Klatschen Kettensäge Glocken Hahn Kuh Schwein Schaf Frosch Schuss Schrei",
    "French": "chien aboiement chat sirène bris verre bébé pleurs oiseau tonnerre pluie orage"
    " sonnette réveil hélicoptère avion train voiture klaxon aspirateur pas rire toux éternuement"
    " ronflement applaudissements tronçonneuse cloches coq vache cochon mouton grenouille coup cri"
    " vent vagues moteur porte musique",
    "Spanish": "perro ladrido gato sirena vidrio bebé llanto pájaro trueno lluvia tormenta timbre"
    " despertador helicóptero avión tren coche bocina aspiradora lavadora pasos risa tos estornudo"
    " ronquido aplausos motosierra campanas gallo vaca cerdo oveja rana disparo grito viento olas"
    " puerta",
    "Italian": "cane abbaio gatto sirena vetro neonato pianto uccello tuono pioggia temporale"
    " campanello sveglia elicottero aereo treno macchina clacson aspirapolvere lavatrice passi"
    " risata tosse starnuto russare applausi motosega campane gallo mucca maiale pecora rana sparo"
    " urlo",
    "Dutch": "hond blaffen kat sirene glasbreuk huilen vogel donder regen onweer deurbel wekker"
    " helikopter vliegtuig trein toeter stofzuiger wasmachine voetstappen gelach hoest niezen"
    " snurken applaus kettingzaag klokken haan koe varken schaap kikker schot schreeuw",
    "Polish": "pies szczekanie kot syrena szkło płacz ptak grzmot deszcz burza dzwonek budzik"
    " śmigłowiec samolot pociąg samochód klakson odkurzacz pralka kroki śmiech kaszel kichanie"
    " chrapanie oklaski piła dzwony kogut krowa świnia owca żaba strzał krzyk wiatr",
    "others": "cachorro latido trovão chuva campainha buzina hund skäller åska klocka koira"
    " hälytys kutya szirena \u0441\u0438\u0440\u0435\u043d\u0430"
    " \u0441\u043e\u0431\u0430\u043a\u0430"
    " \u043b\u0430\u0439 \u8b66\u62a5 \u72ac \uac15\uc544\uc9c0 \u0643\u0644\u0628",
}
# English words, or spelled as one.
FALSE_FRIENDS = (
    "Donner Auto Schuss chat train klaxon pas cloches mouton coup vent vagues timbre"
    " campanas olas cane temporale lavatrice kat pies"
)


def test_words_of_other_languages_are_unfamiliar() -> None:
    words = [word for text in FOREIGN.values() for word in text.split()]
    assert len(words) > 240
    taken = [word for word in words if is_familiar(parse_concept(word))]
    assert sorted(taken) == sorted(FALSE_FRIENDS.split())


def test_what_training_asks_for_is_familiar() -> None:
    assert [name for name in known_names() if not is_familiar(name)] == []


ENGLISH = (
    "dogs barking|kettle whistling|firetruck|backup beeper|ringtone|50hz hum|1000 hz tone|r and b"
    "|two-stroke engine|bow-wow|lion's roar|squeaky wheel|vroom|person speaking italian|geese"
    "|fire engine, fire truck siren|humming|hummed|loudest alarm|leaves rustling|café music"
)


@pytest.mark.parametrize("concept", ENGLISH.split("|"))
def test_english_is_familiar(concept: str) -> None:
    assert is_familiar(concept)


@pytest.mark.parametrize(
    "concept",
    ["asdfgh", "dog barkin", "sirne", "roomba", "mp3", "x", "747", "boeing 747", "ist da ein hund"],
)
def test_other_words_are_unfamiliar(concept: str) -> None:
    assert not is_familiar(concept)


def test_the_vocabulary_is_made_of_wordnets_files(tmp_path: Path) -> None:
    licence = "  1 This software and database is being provided to you\n"
    lines = {
        "noun": "00001740 03 n 03 dog 0 Domestic_Dog 0 Rover 0 000 | a dog\n",
        "verb": "00001740 29 v 01 bark 0 000 | to bark\n",
        "adj": "00001740 00 a 02 loud(a) 0 Italian 0 000 | noisy\n",
        "adv": "00001740 02 r 01 loudly 0 000 | noisily\n",
    }
    for part, line in lines.items():
        (tmp_path / f"data.{part}").write_text(licence + line)
        (tmp_path / f"{part}.exc").write_text("geese goose\n" if part == "noun" else "")
    words = vocabulary(wordnet_words(tmp_path), ["hi-hat cymbal"])
    assert words == ["bark", "cymbal", "dog", "geese", "hi-hat", "italian", "loud", "loudly"]
    write_vocabulary(tmp_path / "words.txt.gz", words)
    assert gzip.decompress((tmp_path / "words.txt.gz").read_bytes()).split() == [
        word.encode() for word in words
    ]


def test_a_folder_without_wordnet_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ListenEdgeError, match="apt-get install wordnet-base"):
        list(wordnet_words(tmp_path))


@pytest.mark.parametrize("name", ["crowd aww", "frog ribbit", "kaboom", "psst", "brr"])
def test_what_sounds_are_said_to_say_is_english(name: str) -> None:
    assert is_familiar(name)
