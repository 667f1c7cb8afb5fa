"""What is wrongly heard in hours without it -> rows that say so, though the run is killed."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from listen_edge.audio import read_audio
from listen_edge.cli.root import cli
from listen_edge.errors import ListenEdgeError
from listen_edge.question import parse_concept
from listen_edge.question.vocabulary import is_familiar
from listen_edge.runtime.measure import mining
from listen_edge.runtime.measure.mined_folder import JOURNAL, Finds, MinedFolder, window_name
from listen_edge.runtime.measure.mining import Hours, mine
from listen_edge.runtime.measure.mining_config import MiningConfig
from listen_edge.safety_sounds import SAFETY_SOUNDS
from listen_edge.train.datasets import read_dataset
from listen_edge.train.datasets.hours import read_known_hours
from tests.small_ontology import write_ontology

RATE = 16_000
CONFIG = MiningConfig(least=0.5, per_question=2, hop_s=0.5)
QUESTIONS = ("siren?", "dog barking?")
# Level of each half second = presence of "siren"; "dog barking" has a half of it.
NIGHT = {"a.wav": (0.1, 0.9, 0.8, 0.1, 0.1, 0.6, 0.1, 0.7), "sub/b.wav": (0.2, 0.3, 0.2)}


class LevelEngine:
    """Hears sirens as present as the newest half of its window is loud; one second a window.

    Attributes:
        heard: start and questions of each window.
        dies_at: number of windows after which the process is killed.
    """

    window_s, hop_s = 1.0, 0.5
    bundle = SimpleNamespace(id="fake@0")

    def __init__(self, dies_at: int | None = None) -> None:
        self.heard: list[tuple[float, tuple[str, ...]]] = []
        self.dies_at = dies_at

    def answer_window(
        self, window: np.ndarray, questions: Sequence[str], *, start_s: float, doubt: Any
    ) -> list[Any]:
        if len(self.heard) == self.dies_at:
            raise KeyboardInterrupt
        self.heard.append((start_s, tuple(questions)))
        level = float(window[-RATE // 2 :].mean())
        presence = {"siren": level, "dog barking": level / 2}
        return [SimpleNamespace(concept=q, presence=presence.get(q)) for q in questions]


@pytest.fixture()
def night(tmp_path: Path) -> Path:
    """Recordings whose level is told by NIGHT."""
    for name, levels in NIGHT.items():
        path = tmp_path / "night" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.repeat(np.array(levels, np.float32), RATE // 2)
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    return tmp_path / "night"


def hours(folder: Path, **known: Any) -> Hours:
    return Hours(folder, **{"may_hold": lambda p, c: False, "licence": lambda p: "CC0", **known})


def run(
    night: Hours, out: Path, engine: LevelEngine | None = None, questions: Sequence[str] = QUESTIONS
) -> list[Finds]:
    return list(mine(engine or LevelEngine(), night, out, questions, CONFIG))  # type: ignore[arg-type]


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "meta.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in [out / "meta.csv", *(out / "audio").iterdir()]}


@pytest.mark.parametrize(
    ("windows", "kept"),
    [
        ([(0, 0.6), (1, 0.7), (2, 0.6)], [(1, 0.7)]),  # they overlap
        ([(0, 0.7), (1, 0.6), (5, 0.6)], [(0, 0.7), (5, 0.6)]),
        ([(0, 0.6), (5, 0.9), (10, 0.7)], [(5, 0.9), (10, 0.7)]),  # the surest two
        ([(0, 0.9), (5, 0.8), (10, 0.7)], [(0, 0.9), (5, 0.8)]),
        ([(0, 0.7), (4, 0.7), (8, 0.7)], [(0, 0.7), (8, 0.7)]),
    ],
)
def test_the_surest_windows_that_lie_apart_are_kept(
    windows: list[tuple[float, float]], kept: list[tuple[float, float]]
) -> None:
    finds = Finds("a.wav")
    for start_s, presence in windows:
        finds.note("siren", start_s, presence, apart_s=5.0, n=2)
    assert [tuple(one) for one in finds.kept["siren"]] == kept
    assert finds.n_wrong == {"siren": len(windows)}


def test_wrong_windows_become_rows_that_say_what_is_not_there(night: Path, tmp_path: Path) -> None:
    found = run(hours(night), tmp_path / "out")
    assert [(f.recording, f.n_windows, f.n_wrong) for f in found] == [
        ("a.wav", 7, {"siren": 4}),
        ("sub/b.wav", 2, {}),
    ]
    first, second = rows(tmp_path / "out")
    assert first == {
        "filename": window_name("a.wav", 0.0),
        "label": "",
        "absent": "siren",
        "source": "a.wav",
        "start_s": "0.0",
        "presence": "0.900",
        "licence": "CC0",
    }
    assert (second["start_s"], second["presence"]) == ("3.0", "0.700")  # not the 0.8 beside 0.9
    written = read_audio(tmp_path / "out/audio" / first["filename"])
    expected = np.repeat(np.array([0.1, 0.9], np.float32), RATE // 2)
    np.testing.assert_allclose(written, expected, atol=2 / 32768)  # 16 bits


def test_training_reads_the_rows(night: Path, tmp_path: Path) -> None:
    run(hours(night), tmp_path / "out")
    read = read_dataset(f"labelled:{tmp_path / 'out'}")
    assert {(r.tags, r.absent, r.split, r.licence) for r in read} == {
        ((), ("siren",), "a.wav", "CC0")
    }


@pytest.mark.parametrize("every", [1, 3, 100])
def test_a_killed_run_goes_on_to_the_same_folder(
    night: Path, tmp_path: Path, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mining, "_CHECKPOINT", every)
    run(hours(night), tmp_path / "whole")
    for dies_at in range(9):
        out = tmp_path / f"killed {dies_at}"
        killed, again = LevelEngine(dies_at), LevelEngine()
        with pytest.raises(KeyboardInterrupt):
            run(hours(night), out, killed)
        run(hours(night), out, again)
        assert contents(out) == contents(tmp_path / "whole")
        assert len(again.heard) <= 9 - dies_at + every - 1
        third = LevelEngine()
        run(hours(night), out, third)
        assert third.heard == [] and contents(out) == contents(tmp_path / "whole")


def test_a_line_that_was_written_in_part_is_written_again(night: Path, tmp_path: Path) -> None:
    run(hours(night), tmp_path / "whole")
    journal = (tmp_path / "whole" / JOURNAL).read_bytes()
    for n_bytes in range(0, len(journal), 7):
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        (out / JOURNAL).write_bytes(journal[:n_bytes])
        run(hours(night), out)
        assert (out / JOURNAL).read_bytes() == journal


def test_another_run_does_not_go_on_in_the_folder(night: Path, tmp_path: Path) -> None:
    run(hours(night), tmp_path / "out")
    with pytest.raises(ListenEdgeError, match="holds another run"):
        run(hours(night), tmp_path / "out", questions=["siren?"])
    (tmp_path / "out" / JOURNAL).write_text('{"recording": 1}\n[]\n')
    with pytest.raises(ListenEdgeError, match="holds another run"):
        run(hours(night), tmp_path / "out")


@pytest.mark.parametrize("name", ["meta.csv", "audio/a.flac", "dog/1.wav"])
def test_a_folder_of_somebody_else_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("filename,label\n")
    with pytest.raises(ListenEdgeError, match="holds files that mining did not write"):
        MinedFolder(tmp_path, {})
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [path]


def test_a_damaged_journal_is_one_line(tmp_path: Path) -> None:
    with MinedFolder(tmp_path / "out", {}) as folder:
        folder.append(Finds("a.wav"))
    with (tmp_path / "out" / JOURNAL).open("ab") as file:
        file.write(b"[1]\n")
    with pytest.raises(ListenEdgeError, match=r"mining.jsonl: damaged .*another --out"):
        MinedFolder(tmp_path / "out", {})


def test_what_may_hold_the_sound_is_not_asked(night: Path, tmp_path: Path) -> None:
    engine = LevelEngine()
    known = hours(night, may_hold=lambda path, concept: path.name == "a.wav" and concept == "siren")
    run(known, tmp_path / "out", engine)
    assert {q for _, q in engine.heard[:7]} == {("dog barking",)}
    assert {q for _, q in engine.heard[7:]} == {("siren", "dog barking")}
    assert rows(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("path", "concept", "may"),
    [
        ("quiet.wav", "siren", False),
        ("tagged.wav", "siren", True),  # tag of 0.06
        ("tagged.wav", "police siren", True),  # a word in common
        ("tagged.wav", "dog barking", False),  # tag of 0.04
        ("named.wav", "dog barking", True),  # label in the table
        ("named.wav", "cat", False),
        ("Dog/quiet.wav", "dog barking", True),  # as tune reads sub-folders
        ("howl.wav", "animal", True),  # above in the ontology
        ("howl.wav", "piano", False),
    ],
)
def test_what_a_recording_may_hold(tmp_path: Path, path: str, concept: str, may: bool) -> None:
    (tmp_path / "meta.csv").write_text("filename,label,licence\nnamed.wav,Dog,CC0\n")
    tags = "filename\tclass\tprobability\ntagged.wav\tSiren\t0.06\ntagged.wav\tDog\t0.04\n"
    (tmp_path / "tags.tsv").write_text(tags)
    more = tmp_path / "more.tsv"
    more.write_text("filename\tclass\tprobability\nhowl.wav\tHowl\t0.9\n")
    known = read_known_hours(tmp_path, [more], write_ontology(tmp_path / "ontology.json"))
    assert known.may_hold(tmp_path / path, concept) == may
    assert known.licence(tmp_path / path) == ("CC0" if path == "named.wav" else "")


@pytest.mark.parametrize(("kind", "is_heard"), [("wav", False), ("flac", True)])
def test_a_recording_that_breaks_off_is_told_and_the_others_are_heard(
    night: Path, tmp_path: Path, kind: str, is_heard: bool
) -> None:
    """A WAV header tells at once that the recording is cut, a FLAC only where it breaks off."""
    path = night / f"a.{kind}"
    samples = np.tile(read_audio(night / "a.wav"), 8)
    (night / "a.wav").unlink()
    soundfile.write(path, samples + np.random.default_rng(0).normal(0, 0.01, len(samples)), RATE)
    path.write_bytes(path.read_bytes()[:-RATE])
    broken, whole = run(hours(night), tmp_path / "out")
    assert broken.error is not None and (broken.n_windows > 0) == is_heard
    assert (whole.error, whole.n_windows) == (None, 2)
    assert bool(rows(tmp_path / "out")) == is_heard


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"least": 0.0}, "--least 0"), ({"per_question": 0}, "--per-question 0")],
)
def test_an_impossible_wish_is_refused(fields: dict[str, Any], error: str) -> None:
    with pytest.raises(ListenEdgeError, match=error):
        replace(CONFIG, **fields)


@pytest.mark.parametrize("hop_s", [0.0, 1.1])
def test_an_impossible_hop_is_refused(night: Path, tmp_path: Path, hop_s: float) -> None:
    engine: Any = LevelEngine()
    with pytest.raises(ListenEdgeError, match="--hop"):
        list(mine(engine, hours(night), tmp_path, QUESTIONS, replace(CONFIG, hop_s=hop_s)))


def test_the_sounds_asked_by_default_can_be_asked() -> None:
    assert 90 <= len(SAFETY_SOUNDS) == len({*SAFETY_SOUNDS})
    assert [s for s in SAFETY_SOUNDS if parse_concept(s) != s or not is_familiar(s)] == []


def test_the_command_mines_with_the_head_alone(
    headed_folder: Path, esc50_folder: Path, tmp_path: Path, n_loaded: dict[str, int]
) -> None:
    out = tmp_path / "out"
    options = ["--ask", "piano?", "--ask", "train?", "--least", "0.01", "--hop", "0.5"]
    command = ["mine", str(esc50_folder / "audio"), "--out", str(out), *options]
    done = CliRunner().invoke(
        cli, [*command, "--bundle", str(headed_folder)], standalone_mode=False
    )
    assert done.return_value == 0, done.exception
    assert f"{out}: 15 windows of 0.00 h, 2 questions wrongly heard" in done.stdout
    assert {row["absent"] for row in rows(out)} <= {"piano", "train", "piano; train"}
    assert len(rows(out)) == 15 and not n_loaded
    header = json.loads((out / JOURNAL).read_text().splitlines()[0])
    assert header["concepts"] == ["piano", "train"] and header["hop_s"] == 0.5
