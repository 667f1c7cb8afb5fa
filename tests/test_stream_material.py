"""The script that lays out natural hours, look-alikes and events, on made-up recordings."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

SCRIPT = Path(__file__).parent.parent / "benchmarks/stream_material.py"
RATE = 16_000
ESC50 = (
    *("rain", "wind", "washing machine", "clock tick", "laughing"),
    *("siren", "glass breaking", "dog", "clock alarm", "fireworks", "cat"),
)
LABELLED = (  # (label, source)
    ("gunshot", "hedgewars-data 1.0"),
    ("siren", "github.com/SimHacker/micropolis"),
    ("dog barking", "doggy-daycare"),
    ("telephone ringing", "sound-theme-freedesktop"),
    ("horse neighing", "animalia"),
    ("thud", "searchandrescue"),
    ("applause", "SoundMonster"),
    ("people in a tavern", "widelands"),
    ("siren", "a source that is trained on"),
)


def _sound(path: Path, seconds: float, seed: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).normal(0, 0.05, round(seconds * RATE))
    soundfile.write(path, samples, RATE)
    return path.name


def _table(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    rows = [
        (_sound(folder / f"esc50/audio/{fold}-{k}.wav", 2, k), fold, k, label.replace(" ", "_"))
        for k, label in enumerate(ESC50)
        for fold in (4, 5)
    ]
    _table(folder / "esc50/meta.csv", ("filename", "fold", "target", "category"), rows)
    others = [
        (_sound(folder / f"world/audio/{k}.wav", 1, k), label, source)
        for k, (label, source) in enumerate(LABELLED)
    ]
    _table(folder / "world/meta.csv", ("filename", "label", "source"), others)
    for k in range(3):
        _sound(folder / f"speech/{k}.wav", 1 + k, k)
    _sound(folder / "music/a.wav", 25, 0)
    nodes = [
        {"id": "explosion", "name": "Explosion", "child_ids": ["fireworks"]},
        {"id": "fireworks", "name": "Fireworks", "child_ids": []},
    ]
    (folder / "ontology.json").write_text(json.dumps(nodes))
    arguments = [
        *("--esc50", "esc50", "--labelled", "world", "--ontology", "ontology.json"),
        *("--speech", "speech", "--music", "music", "--minutes", "3", "--out", "out"),
    ]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "natural       0.05 h" in done.stdout
    return folder


def _names(folder: Path) -> dict[str, list[str]]:
    """Return the recordings that the links of each sub-folder lead to."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.*")):
        target = path.resolve()
        name = "/".join(target.parts[-3:]) if path.is_symlink() else path.name
        found.setdefault(str(path.parent.relative_to(folder)), []).append(name)
    return found


def test_nothing_is_laid_out_that_was_trained_on(material: Path) -> None:
    used = {name for names in _names(material / "out/events").values() for name in names}
    used |= {name for names in _names(material / "out/lookalikes").values() for name in names}
    assert not any(name.startswith("esc50/audio/4-") for name in used)
    trained = f"world/audio/{len(LABELLED) - 1}.wav"
    assert trained not in used and "world/audio/1.wav" in used


def test_events_lie_below_their_question_and_smoke_alarms_are_made(material: Path) -> None:
    events = _names(material / "out/events")
    assert sorted(events["siren"]) == ["esc50/audio/5-5.wav", "world/audio/1.wav"]
    assert events["gunshot"] == ["world/audio/0.wav"]
    assert len(events["smoke alarm"]) == 8
    assert set(events) == {"siren", "glass breaking", "dog barking", "gunshot", "smoke alarm"}


def test_lookalikes_lie_below_what_they_may_hold(material: Path) -> None:
    assert set(_names(material / "out/lookalikes")) == {
        *("cat", "clock alarm", "clock tick", "laughing", "telephone ringing", "thud"),
        *("horse neighing", "fireworks/explosion"),
    }


def test_hours_are_of_every_kind_and_at_levels_of_rooms(material: Path) -> None:
    lengths: dict[str, float] = {}
    for path in sorted((material / "out/natural").rglob("*.flac")):
        samples, rate = soundfile.read(path)
        lengths[path.parent.name] = lengths.get(path.parent.name, 0.0) + len(samples) / rate
        seconds = samples[: len(samples) // rate * rate].reshape(-1, rate)
        level = 10 * np.log10(np.mean(seconds**2, axis=1))
        assert rate == RATE and level.min() > -80 and level.max() < -10
    assert lengths == pytest.approx(
        {"speech": 39.6, "music": 36, "television": 32.4, "ambience": 36, "machines": 14.4,
         "quiet": 21.6},
        abs=0.01,
    )  # fmt: skip
