"""Lay out what `bench events` and `tune` listen to: natural hours, look-alikes and events.

    apt install asterisk-prompt-it-menardi-wav planetblupi-music-ogg hyperrogue-music \\
        lincity-ng-data fretsonfire-songs-sectoid espeak-ng flite
    python benchmarks/stream_material.py --esc50 DATA/esc50 --labelled DATA/world \\
        --ontology ontology.json --speech /usr/share/asterisk/sounds/it_IT_f_Menardi \\
        --music /usr/share/planetblupi/music /usr/share/hyperrogue/music \\
        /usr/share/games/lincity-ng/music /usr/share/games/fretsonfire/data/songs/sectoid \\
        --text /usr/share/common-licenses/GPL-? --out material

natural/KIND/ holds hours as a home or a street has them, see natural_hours.py; lookalikes/LABEL/
sounds that may be taken for one of the questions, below a folder named like each question that the
label may hold; events/QUESTION/ the sounds themselves. Nothing of it was trained on: ESC-50's fold
5, the eight sources that training leaves out, packages that are no source of training, and alarms
of another seed.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from natural_hours import BEDS, Pools, Samples, natural_hours, read_out, recordings

from listen_edge.alarms import make_alarm
from listen_edge.audio.folder import recordings_below
from listen_edge.concepts import names_of
from listen_edge.evaluation.esc50 import clips_of_folds
from listen_edge.evaluation.labelled import read_labelled
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.ontology import Ontology

HELD_OUT = (
    *("animalia", "hedgewars", "searchandrescue", "SoundMonster"),
    *("sound-theme-freedesktop", "micropolis", "doggy-daycare", "widelands"),
)
EVENTS: dict[str, tuple[str, ...]] = {  # question: labels of recordings that hold it
    "siren": ("siren",),
    "glass breaking": ("glass breaking",),
    "crying baby": ("crying baby", "baby crying"),
    "dog barking": ("dog", "dog barking"),
    "gunshot": ("gunshot", "shotgun blast"),
    "smoke alarm": (),  # made from its standard
    "explosion": ("explosion",),
    "screaming": ("woman screaming", "man screaming"),
    "door knock": ("door wood knock", "knocking on a door"),
    "car horn": ("car horn", "car horn honking"),
}
LOOKALIKES = frozenset(
    [
        # of a siren, a horn, a smoke alarm
        *("clock alarm", "church bells", "chainsaw", "vacuum cleaner", "train", "crickets"),
        *("chirping birds", "alarm clock ringing", "telephone ringing", "notification chime"),
        *("buzzer", "air horn", "bicycle horn honking", "train horn", "train whistle", "bugle"),
        *("person whistling", "slide whistle", "cockpit warning beep", "doorbell ringing"),
        *("bell ringing", "squeaky toy", "duck quacking", "tires screeching"),
        # of a baby, a scream, a dog
        *("cat", "rooster", "hen", "crow", "sheep", "pig", "laughing", "sneezing"),
        *("coughing", "cat meowing", "person laughing", "evil laughter", "crowd cheering"),
        *("wolf howling", "coyote howling", "horse neighing", "donkey braying"),
        # of glass, a shot, an explosion, a knock
        *("can opening", "water drops", "keyboard typing", "clapping", "footsteps"),
        *("fireworks", "thunderstorm", "thunder", "door wood creaks", "clock tick", "hand saw"),
        *("hammering", "axe chopping wood", "blacksmith hammering", "metal clanging"),
        *("tools clattering", "thud", "door closing", "whip cracking"),
    ]
)
_N_PER_LABEL, _N_PER_QUESTION, _N_PER_SOURCE = 4, 12, 8
_ALARM_SEED = 20_161_106  # training draws from seed 0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("esc50", "labelled", "ontology", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("speech", "music"):
        parser.add_argument(f"--{name}", type=Path, required=True, nargs="+", metavar="DIR")
    parser.add_argument("--text", type=Path, nargs="*", default=[], help="Read out by voices.")
    parser.add_argument("--minutes", type=float, default=220.0, help="Of natural hours.")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)

    by_label: dict[str, list[tuple[str, Path]]] = defaultdict(list)  # (source, path)
    for esc50 in clips_of_folds(given.esc50, [5]):
        by_label[esc50.label].append(("ESC-50", esc50.path))
    for clip in read_labelled(given.labelled, HELD_OUT):
        by_label[clip.label].append((clip.source, clip.path))

    _lay_events(by_label, given.out / "events", given.seed)
    _lay_lookalikes(by_label, Ontology.read(given.ontology), given.out / "lookalikes")
    _lay_hours(_pools(by_label, given), given.minutes, given.seed, given.out / "natural")


def _lay_events(by_label: dict[str, list[tuple[str, Path]]], out: Path, seed: int) -> None:
    for question, labels in EVENTS.items():
        taken: dict[str, int] = defaultdict(int)
        for source, path in (clip for label in labels for clip in by_label[label]):
            taken[source] += 1
            if taken[source] <= _N_PER_SOURCE and sum(taken.values()) <= _N_PER_QUESTION:
                _link(path, out / question)
    for k in range(_N_PER_SOURCE):
        kind = ("smoke-alarm", "smoke-alarm-520hz")[k % 2]
        alarm = make_alarm(kind, np.random.default_rng([_ALARM_SEED, seed, k]))
        _write(out / "smoke alarm" / f"{kind}-{k}.flac", alarm)
    print(f"events: {len(recordings_below(out))}")


def _lay_lookalikes(
    by_label: dict[str, list[tuple[str, Path]]], ontology: Ontology, out: Path
) -> None:
    """Link the look-alikes, each below the questions that are not wrong about it."""
    for label in sorted(LOOKALIKES & by_label.keys()):
        held = [q for q in EVENTS if any(ontology.related(name, q) for name in names_of(label))]
        for _, path in by_label[label][:_N_PER_LABEL]:
            _link(path, Path(out, label, *held))
    print(f"look-alikes: {len(recordings_below(out))}")


def _pools(by_label: dict[str, list[tuple[str, Path]]], given: argparse.Namespace) -> Pools:
    beds = {
        kind: {
            label: recordings([path for _, path in by_label[label]])
            for label in labels
            if by_label[label]
        }
        for kind, labels in BEDS.items()
    }
    spoken = [recordings(recordings_below(folder)) for folder in given.speech]
    read = read_out(given.text, given.minutes / 6) if given.text else []
    spoken *= max(1, len(read) // len(spoken))  # recorded speech as often as read-out
    music = [path for folder in given.music for path in recordings_below(folder)]
    return Pools([*spoken, *read], recordings(music, 20.0, 300.0), beds)


def _lay_hours(pools: Pools, minutes: float, seed: int, out: Path) -> None:
    hours: dict[str, float] = defaultdict(float)
    for kind, number, samples in natural_hours(pools, minutes, seed):
        _write(out / kind / f"{number:02}.flac", samples)
        hours[kind] += len(samples) / SAMPLE_RATE / 3600
    for kind, length in hours.items():
        print(f"{kind:<12}{length:6.2f} h")
    print(f"{'natural':<12}{sum(hours.values()):6.2f} h")


def _link(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / path.name).symlink_to(path.resolve())


def _write(path: Path, samples: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, SAMPLE_RATE)


if __name__ == "__main__":
    main()
