"""What is heard, nobody having asked: by the head alone; of what was not heard nothing is said."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from listen_edge.audio import read_window
from listen_edge.bundle.head import Fusion
from listen_edge.bundle.opening import Bundle, open_bundle
from listen_edge.cli.root import cli
from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.lines.answer import Reason
from listen_edge.lines.heard import HeardLine
from listen_edge.runtime.answers import Heard, heard_sounds, unheard_sounds
from listen_edge.runtime.encoder_session import Encoded
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.head import Questions
from listen_edge.runtime.hear_config import HearConfig
from listen_edge.runtime.vocabulary import Vocabulary

RATE = 16_000
NAMES = ("bark", "dog", "siren", "speech")
QUERIES = np.array([[1, 0.1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
ALL = HearConfig(top=1000, least=1e-9)


def vocabulary() -> Vocabulary:
    """Four names of which the first two mean the same; presence is that of the logit."""
    n = len(NAMES)
    zeros, ones = np.zeros(n, np.float32), np.ones(n, np.float32)
    questions = Questions(QUERIES, zeros, zeros, ones, ones)
    head = SimpleNamespace(questions=lambda names: questions)
    fusion = Fusion((1.0, 0.0), (0.0,) * 4, 0.05)  # type: ignore[arg-type]
    return Vocabulary(head, SimpleNamespace(shown=NAMES, fusion=fusion))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("presences", "top", "least", "told"),
    [
        ([0.9, 0.8, 0.7, 0.6], 3, 0.5, ["bark", "siren", "speech"]),
        ([0.8, 0.9, 0.7, 0.6], 2, 0.5, ["dog", "siren"]),
        ([0.8, 0.9, 0.7, 0.6], 3, 0.65, ["dog", "siren"]),
        ([0.8, 0.9, 0.7, 0.6], 3, 0.95, []),
        ([0.2, 0.1, 0.5, 0.5], 3, 0.5, ["siren", "speech"]),  # the least is enough
    ],
)
def test_the_likeliest_are_told_and_one_name_of_one_thing(
    presences: list[float], top: int, least: float, told: list[str]
) -> None:
    found = vocabulary().likeliest(np.array(presences), top, least)
    assert [name for name, _ in found] == told
    assert all(presence == presences[NAMES.index(name)] for name, presence in found)


def test_only_names_that_ask_for_the_same_are_alike() -> None:
    known = vocabulary()
    alike = {(a, b) for a in NAMES for b in NAMES if a != b and known.are_alike(a, b)}
    assert alike == {("bark", "dog"), ("dog", "bark")}


def test_the_surer_of_two_signals_counts() -> None:
    none = np.zeros((1, 3), np.float32)
    for signals in (QUERIES[[3]], QUERIES[[0]]), (QUERIES[[0]], QUERIES[[3]]):
        encoded = [Encoded(none, keys=none, values=value) for value in signals]
        presences = vocabulary().presences(encoded)
        assert presences.argmax() in (0, 1) and presences[3] > presences[2]


@pytest.mark.parametrize(
    ("doubts", "told", "reason"),
    [
        ((), ["bark", "siren"], None),
        ((None, "clipped"), ["bark", "siren"], "clipped"),
        (("overflow",), ["bark", "siren"], "overflow"),
        (("narrow_band",), ["bark"], "narrow_band"),  # needs 0.9 there, as an answer does
        (("narrow_band", "too_short"), ["bark"], "too_short"),
    ],
)
def test_a_doubtful_window_tells_what_it_holds_and_the_doubt(
    doubts: tuple[Reason | None, ...], told: list[str], reason: str | None
) -> None:
    presences = np.array([0.95, 0.1, 0.8, 0.1])
    bundle = SimpleNamespace(id="fake@0")
    unheard = unheard_sounds("inaudible", bundle, window_s=(0.0, 5.0), source="x")  # type: ignore[arg-type]
    heard = heard_sounds(
        Heard({}, presences, -20.0, 1.0, 2.0), unheard, vocabulary(), HearConfig(), doubts
    )
    assert [name for name, _ in heard.sounds or ()] == told
    assert (heard.reason, heard.level_dbfs, heard.answer_ms) == (reason, -20.0, 2.0)
    assert ("others unknown" in (heard.note or "")) == (reason is not None)


@pytest.mark.parametrize(
    ("fields", "error"), [({"top": 0}, "--top 0"), ({"least": 0.0}, "--least 0"),
                          ({"least": 1.5}, "--least 1.5")]
)  # fmt: skip
def test_an_impossible_wish_is_refused(fields: dict[str, Any], error: str) -> None:
    with pytest.raises(ListenEdgeError, match=error):
        HearConfig(**fields)


@pytest.fixture(scope="module")
def bundle(headed_folder: Path) -> Bundle:
    return open_bundle(str(headed_folder))


@pytest.fixture()
def headed(bundle: Bundle) -> Iterator[Engine]:
    with Engine(bundle, n_threads=1, llm="never") as engine:
        yield engine


@pytest.fixture(scope="module")
def window(esc50_folder: Path) -> np.ndarray:
    return read_window(esc50_folder / "audio/4-0.wav", RATE)


def hear(engine: Engine, samples: np.ndarray, doubt: Reason | None = None) -> HeardLine:
    _, heard = engine.listen_window(samples, [], ALL, doubt=doubt)
    assert heard is not None
    return heard


def test_presence_is_what_the_head_says_alone(headed: Engine, window: np.ndarray) -> None:
    head = headed.bundle.require_head()
    presences = headed.vocabulary.presences([headed._encode(window)])
    read = headed.read(window, head.shown)
    expected = [head.fusion.presence_alone(read[name]) for name in head.shown]
    np.testing.assert_allclose(presences, expected, atol=1e-6)
    told = dict(hear(headed, window).sounds or ())
    assert told and told == {name: pytest.approx(dict(zip(head.shown, expected, strict=True))[name],
                                                 abs=1e-6) for name in told}  # fmt: skip


def test_the_llm_is_neither_loaded_nor_asked(
    bundle: Bundle, window: np.ndarray, n_loaded: Counter[str]
) -> None:
    with Engine(bundle, n_threads=1, llm="never") as engine:
        assert hear(engine, window).sounds
        assert not engine.has_llm
    assert not n_loaded


def test_answers_are_the_same_whether_or_not_sounds_are_told(
    headed: Engine, window: np.ndarray
) -> None:
    alone = headed.answer_window(window, ["hum?", "train?"])
    answers, heard = headed.listen_window(window, ["hum?", "train?"], ALL)
    assert [replace(a, encode_ms=0, answer_ms=0) for a in answers] == [
        replace(a, encode_ms=0, answer_ms=0) for a in alone
    ]
    assert heard is not None and heard.sounds == hear(headed, window).sounds


NOISE = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
DEAF: dict[str, tuple[np.ndarray, Reason | None]] = {
    "silent_input": (np.zeros(RATE, np.float32), None),
    "inaudible": (NOISE * np.float32(1e-4), None),
    "too_short": (NOISE[:1_600], None),
    "speech_codec": (NOISE, "speech_codec"),
}


@pytest.mark.parametrize("reason", DEAF)
def test_a_deaf_window_says_why_and_not_that_nothing_is_there(headed: Engine, reason: str) -> None:
    heard = hear(headed, *DEAF[reason])
    assert (heard.sounds, heard.reason) == (None, reason)
    assert json.loads(heard.to_json_line())["sounds"] is None
    assert heard.to_text_line().endswith(f"unknown ({reason})")


def test_a_window_without_a_likely_sound_claims_no_absence(
    headed: Engine, window: np.ndarray
) -> None:
    _, heard = headed.listen_window(window, [], HearConfig(least=1.0))
    assert heard is not None and (heard.sounds, heard.reason) == ((), None)
    assert "absent" not in heard.to_text_line() and "none of the sounds" in heard.to_text_line()


def test_a_bundle_without_a_head_says_what_to_do(bundle: Bundle) -> None:
    without = replace(bundle, manifest=replace(bundle.manifest, head=None))
    with pytest.raises(BundleError, match=r"no question head.*use ask or mic --ask, or export"):
        without.require_head()


# At the shell.


def run(folder: Path, *arguments: str) -> Result:
    command = ["hear", *arguments, "--bundle", str(folder)]
    return CliRunner().invoke(cli, command, standalone_mode=False)


def test_each_window_is_a_json_line(headed_folder: Path, esc50_folder: Path) -> None:
    clips = [str(esc50_folder / f"audio/4-{k}.wav") for k in range(2)]
    done = run(headed_folder, *clips, "--format", "jsonl", "--least", "0.01", "--top", "2")
    assert done.return_value == 0, done.exception
    lines = [HeardLine.from_json_line(line) for line in done.stdout.splitlines()]
    assert [line.source for line in lines] == ["4-0.wav", "4-1.wav"]
    assert {line.window_s for line in lines} == {(0.0, 1.0)}
    for line in lines:
        assert line.sounds is not None and 1 <= len(line.sounds) <= 2
        assert [p for _, p in line.sounds] == sorted((p for _, p in line.sounds), reverse=True)


def test_text_merges_windows_and_each_window_does_not(
    headed_folder: Path, esc50_folder: Path, tmp_path: Path
) -> None:
    clip, _ = soundfile.read(esc50_folder / "audio/4-0.wav", dtype="float32")
    path = tmp_path / "long.wav"
    soundfile.write(path, np.concatenate([clip] * 4 + [np.zeros(3 * RATE)]), RATE)
    options = (str(path), "--least", "0.01", "--top", "1")
    merged = run(headed_folder, *options).stdout.splitlines()
    assert any(line.split()[-1] == "(silent_input)" for line in merged)
    assert len(merged) < len(run(headed_folder, *options, "--each-window").stdout.splitlines()) == 7


def test_one_bad_recording_among_others_is_one_line(
    headed_folder: Path, esc50_folder: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    good = str(esc50_folder / "audio/4-0.wav")
    done = run(headed_folder, str(bad), good, "--format", "jsonl")
    assert done.return_value == 1 and done.stderr.count("\n") == 1 and "bad.wav" in done.stderr
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["error", "heard"]


def test_a_live_source_tells_health_too(headed_folder: Path, esc50_folder: Path) -> None:
    clip, _ = soundfile.read(esc50_folder / "audio/4-0.wav", dtype="int16")
    command = [sys.executable, "-m", "listen_edge", "hear", "mic", "--stdin", "--format", "jsonl"]
    done = subprocess.run(
        [*command, "--bundle", str(headed_folder)],
        input=np.concatenate([clip] * 3).tobytes(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    kinds = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert {*kinds} == {"heard", "health"}


@pytest.mark.parametrize("option", [["--stdin"], ["--device", "0"], ["--wait-for-device"]])
def test_live_options_belong_to_mic(headed_folder: Path, option: list[str]) -> None:
    done = run(headed_folder, "siren.wav", *option)
    assert isinstance(done.exception, click.UsageError)
    assert "go with hear mic" in str(done.exception)
