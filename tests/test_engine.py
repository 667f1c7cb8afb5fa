"""The embedded bundle with its real weights: right answers, and honest ones."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soxr

import listen_edge
from listen_edge.audio import read_audio
from listen_edge.audio.audibility import is_clipped
from listen_edge.errors import AudioError, BackendError, ListenEdgeError, QuestionError
from listen_edge.evaluation.wordings import WORDINGS, wording_report
from listen_edge.lines.answer import Reason, State
from listen_edge.runtime.answers import summarize
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.score import judge
from listen_edge.runtime.thresholds import Thresholds

QUESTIONS = ["siren?", "dog barking?", "crying baby?", "glass breaking?"]


@pytest.fixture(scope="module")
def clips(tiny_folder: Path) -> dict[str, np.ndarray]:
    """The example recordings by what is in them."""
    return {path.stem: read_audio(path) for path in sorted((tiny_folder / "clips").glob("*.ogg"))}


def test_each_example_holds_its_sound_and_no_other(
    engine: Engine, clips: dict[str, np.ndarray]
) -> None:
    assert set(clips) == {"siren", "dog", "crying_baby", "glass_breaking"}
    for name, samples in clips.items():
        present = [a.concept for a in engine.ask(samples, QUESTIONS) if a.state == "present"]
        assert len(present) == 1, (name, present)
        assert present[0].startswith(name.replace("_", " ")), (name, present)


def test_answers_of_two_recordings_differ(engine: Engine, clips: dict[str, np.ndarray]) -> None:
    """An audio path that is silently cut would answer every recording alike."""
    logits = [
        [answer.head_logit for answer in engine.ask(samples, QUESTIONS)]
        for samples in clips.values()
    ]
    for k, row in enumerate(logits):
        for other in logits[k + 1 :]:
            assert np.abs(np.subtract(row, other)).max() > 1.0
    embeddings = [engine.embed(samples) for samples in clips.values()]
    assert np.abs(embeddings[0] - embeddings[1]).max() > 0.01


def test_only_blank_audio_answers_as_the_prior(
    engine: Engine, clips: dict[str, np.ndarray]
) -> None:
    concepts = ["a kettle", "an anvil"]
    silence = engine.embed(np.zeros(80_000, np.float32))
    blank = [engine.margins(silence, [concept])[0] for concept in concepts]
    np.testing.assert_array_equal(blank, engine.prior_margins(concepts))
    heard = engine.margins(engine.embed(clips["siren"]), concepts)
    assert np.abs(heard - engine.prior_margins(concepts)).max() > 0.5


def test_what_was_asked_before_changes_nothing(
    engine: Engine, clips: dict[str, np.ndarray]
) -> None:
    first = [a.logit_margin for a in engine.ask(clips["dog"], QUESTIONS)]
    engine.ask(clips["siren"], [f"sound number {k}?" for k in range(40)])
    again = [a.logit_margin for a in engine.ask(clips["dog"], QUESTIONS)]
    assert first == again


def test_the_order_in_which_questions_were_learnt_changes_nothing(
    clips: dict[str, np.ndarray],
) -> None:
    questions = ["siren?", "steam whistle?", "dog barking?", "rooster crowing?"]
    with listen_edge.load(llm="always") as together, listen_edge.load(llm="always") as one_by_one:
        for question in reversed(questions):
            one_by_one.ask(clips["dog"], question)
        answers, others = (one.ask(clips["siren"], questions) for one in (together, one_by_one))
    for answer, other in zip(answers, others, strict=True):
        assert replace(answer, encode_ms=0, answer_ms=0) == replace(other, encode_ms=0, answer_ms=0)


def test_a_question_is_answered_alike_alone_and_among_many(
    engine: Engine, clips: dict[str, np.ndarray]
) -> None:
    many = [*(f"sound number {k}?" for k in range(40)), "dog?"]
    (alone,) = engine.ask(clips["dog"], ["dog?"])
    among = engine.ask(clips["dog"], many)[-1]
    # Another batch shape rounds otherwise: hundredths of a nat on margins of several.
    assert among.logit_margin == pytest.approx(alone.logit_margin, abs=0.1)
    assert len(engine.ask(clips["dog"], many)) == 41


def test_the_wording_does_not_move_the_answer(engine: Engine, clips: dict[str, np.ndarray]) -> None:
    wordings = ["siren?", "Is there a siren?", "do you hear a siren", "A SIREN"]
    answers = engine.ask(clips["siren"], wordings)
    assert [answer.question for answer in answers] == wordings
    assert len({answer.presence for answer in answers}) == 1


def test_digital_silence_is_unknown_never_absent(engine: Engine) -> None:
    (answer,) = engine.ask(np.zeros(80_000, np.float32), ["siren?"])
    assert (answer.state, answer.reason) == ("unknown", "silent_input")
    assert answer.presence is None and answer.level_dbfs is None and not answer.says_yes


def test_overdriven_audio_is_never_absent(engine: Engine, clips: dict[str, np.ndarray]) -> None:
    overdriven = np.clip(1000 * clips["dog"], -1, 1)
    assert is_clipped(overdriven[:, None])
    for answer in engine.ask(overdriven, QUESTIONS):
        assert answer.state != "absent"


def test_a_long_recording_is_answered_by_its_strongest_window(
    engine: Engine, clips: dict[str, np.ndarray]
) -> None:
    rng = np.random.default_rng(0)
    quiet = rng.normal(0, 1e-3, 80_000).astype(np.float32)
    recording = np.concatenate([quiet, clips["siren"], quiet])
    windows = list(engine.ask_windows(recording, ["siren?"]))
    assert [row[0].window_s for row in windows][:2] == [(0.0, 5.0), (1.0, 6.0)]
    assert windows[-1][0].window_s[1] == pytest.approx(len(recording) / 16_000)
    (best,) = engine.ask(recording, ["siren?"])
    assert best.state == "present"
    assert best.presence == max(row[0].presence or 0.0 for row in windows)


def test_a_short_recording_is_one_window(engine: Engine, clips: dict[str, np.ndarray]) -> None:
    (answer,) = engine.ask(clips["dog"][:16_000], ["dog?"])
    assert answer.window_s == (0.0, 1.0)
    assert answer.state != "absent"


def test_any_rate_and_channel_count_gives_the_same_answer(
    engine: Engine, clips: dict[str, np.ndarray]
) -> None:
    samples = clips["siren"]
    (mono,) = engine.ask(samples, ["siren?"])
    (stereo,) = engine.ask(np.stack([samples, samples], axis=1), ["siren?"])
    (doubled,) = engine.ask(np.repeat(samples, 2), ["siren?"], sample_rate=32_000)
    assert stereo.presence == mono.presence
    assert doubled.presence == pytest.approx(mono.presence, abs=0.1)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint8", "float64"])
def test_integers_are_scaled_by_their_type(
    engine: Engine, clips: dict[str, np.ndarray], dtype: str
) -> None:
    (wanted,) = engine.ask(clips["siren"], ["siren?"])
    if dtype.startswith("int"):
        full_scale = -float(np.iinfo(dtype).min)
        samples = np.round(np.clip(clips["siren"].astype(float), -1, 1) * (full_scale - 1)).astype(
            dtype
        )
    elif dtype == "uint8":
        samples = np.round(clips["siren"] * 127 + 128).astype(dtype)
    else:
        samples = clips["siren"].astype(dtype)
    (answer,) = engine.ask(samples, ["siren?"])
    assert answer.state == wanted.state == "present"
    assert answer.level_dbfs == pytest.approx(wanted.level_dbfs, abs=0.3)


def test_one_question_may_be_a_string(engine: Engine, clips: dict[str, np.ndarray]) -> None:
    (answer,) = engine.ask(clips["siren"], "siren")
    assert (answer.question, answer.state) == ("siren", "present")


def test_no_channel_hides_a_sound(engine: Engine, clips: dict[str, np.ndarray]) -> None:
    siren = 0.3 * clips["siren"]
    noise = np.random.default_rng(0).normal(0, 0.1, (2, len(siren))).astype(np.float32)
    hum = (0.3 * np.sin(2 * np.pi * 50 / 16_000 * np.arange(len(siren)))).astype(np.float32)
    dead = np.zeros_like(siren)
    mixes = {
        "inverted": [siren, -siren],
        "nearly inverted": [siren + 1e-3 * noise[0], -siren + 1e-3 * noise[1]],
        "dead": [dead, siren],
        "noise": [noise[0], siren],
        "hum": [siren, hum],
        "one live channel of six": [dead, dead, siren, dead, dead, dead],
    }
    for name, channels in mixes.items():
        (answer,) = engine.ask(np.stack(channels, axis=1), ["siren?"])
        assert answer.state == "present", name


def test_what_cannot_be_heard_is_never_absent(engine: Engine, clips: dict[str, np.ndarray]) -> None:
    siren = clips["siren"]
    click = np.zeros_like(siren)
    click[1000] = 0.9
    unheard: dict[Reason, np.ndarray] = {
        "silent_input": np.full_like(siren, 0.25),
        "inaudible": np.round(siren * 10 ** (-80 / 20) * 32768) / 32768,
        "too_short": siren[:1600],
    }
    for reason, samples in unheard.items():
        for answer in engine.ask(samples, QUESTIONS):
            assert (answer.state, answer.reason) == ("unknown", reason)
    for answer in engine.ask(click, QUESTIONS):
        assert answer.state == "unknown"
    low = soxr.resample(siren, 16_000, 4_000)
    for answer in engine.ask(low, QUESTIONS, sample_rate=4_000):
        assert (answer.state, answer.reason) == ("unknown", "narrow_band")


def test_uncalibrated_concepts_say_so(engine: Engine, clips: dict[str, np.ndarray]) -> None:
    known, unknown = engine.ask(clips["dog"], ["dog barking?", "theremin solo?"])
    assert known.calibrated and not unknown.calibrated


@pytest.mark.parametrize("question", ["Hund?", "chien", "is there a perro?", "asdfgh"])
def test_a_word_that_is_not_english_is_unknown_never_absent(
    engine: Engine, clips: dict[str, np.ndarray], question: str
) -> None:
    unfamiliar, dog = engine.ask(clips["dog"], [question, "dog?"])
    assert (unfamiliar.state, unfamiliar.reason) == ("unknown", "unfamiliar")
    assert unfamiliar.presence is None
    assert dog.state == "present"
    (quiet,) = engine.unheard([question], "below_gate", window_s=(0.0, 5.0))
    assert (quiet.state, quiet.reason) == ("unknown", "unfamiliar")


def test_what_a_bundle_was_trained_on_is_familiar(
    engine: Engine, clips: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engine.bundle.manifest.raw, "trained_concepts", ["hund"])
    (answer,) = engine.ask(clips["dog"], ["Hund?"])
    assert answer.presence is not None


def test_every_wording_of_a_sound_is_answered_alike(engine: Engine) -> None:
    report = wording_report(engine, engine.bundle.paths("clip"))
    assert report.n_questions == 4 * 4 * len(WORDINGS)
    assert report.different == ()
    assert (report.n_equal, report.spread) == (report.n_questions, 0.0)
    assert "100.0 %" in report.to_text(engine.bundle.id)


_GROWTH = """
import sys
from pathlib import Path
import listen_edge
from listen_edge.audio import read_audio

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

with listen_edge.load("tiny", n_threads=2) as engine:
    samples = read_audio(Path(sys.argv[1]))[: round(engine.window_s * engine.sample_rate)]

    def listen(n_windows):
        for k in range(n_windows):
            if k % 10 == 0:
                prefix_embeddings = engine.embed(samples)
            engine.margins(prefix_embeddings, ["dog", f"sound {k % 30}"])

    listen(30)
    before = resident()
    listen(150)
    print(resident() - before)
"""


def test_no_growth_over_windows(tiny_folder: Path) -> None:
    """Memory of 150 further windows with changing questions stays within 4 MB.

    In a process of its own: what hundreds of tests have left in this one moves as well.
    """
    command = [sys.executable, "-c", _GROWTH, str(tiny_folder / "clips/dog.ogg")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 4e6


def test_bad_samples_and_questions_are_refused(engine: Engine) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    with pytest.raises(AudioError, match="200 samples"):
        engine.ask(noise[:200], ["dog?"])
    with pytest.raises(AudioError, match="NaN"):
        engine.ask(np.full(16_000, np.nan), ["dog?"])
    with pytest.raises(QuestionError, match="empty"):
        engine.ask(noise, ["dog?", ""])
    assert engine.ask(noise, []) == []


def test_a_backend_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BackendError, match="backend cuda"):
        listen_edge.load("tiny", backend="cuda")
    with pytest.raises(BackendError, match="expected one of auto, cpu"):
        listen_edge.load("tiny", backend="npu")


@pytest.mark.parametrize(
    ("presence", "doubt", "judged"),
    [
        (0.7, None, ("present", None)),
        (0.69, None, ("unknown", "uncertain")),
        (0.55, None, ("unknown", "uncertain")),
        (0.54, None, ("absent", None)),
        (0.54, "clipped", ("unknown", "clipped")),
        (0.01, "too_short", ("unknown", "too_short")),
        (0.9, "clipped", ("present", None)),
        (0.9, "narrow_band", ("present", None)),
        (0.89, "narrow_band", ("unknown", "narrow_band")),
        (0.15, "narrow_band", ("unknown", "narrow_band")),
        (0.14, "narrow_band", ("absent", None)),
    ],
)
def test_states(presence: float, doubt: Reason | None, judged: tuple[str, str | None]) -> None:
    assert judge(presence, Thresholds(on=0.7, off=0.55), doubt) == judged


@pytest.mark.parametrize("doubts", [("narrow_band", "too_short"), ("too_short", "narrow_band")])
def test_of_several_doubts_each_has_its_say(doubts: tuple[Reason, ...]) -> None:
    thresholds = Thresholds(on=0.7, off=0.55)
    states = [judge(presence, thresholds, *doubts, None) for presence in (0.9, 0.89, 0.01)]
    assert states == [("present", None), ("unknown", "too_short"), ("unknown", "too_short")]


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([("present", 0.8), ("present", 0.9), ("absent", 0.1)], ("present", 0.9)),
        ([("absent", 0.1), ("absent", 0.2)], ("absent", 0.2)),
        ([("absent", 0.2), ("unknown", None)], ("unknown", None)),
        ([("unknown", None), ("unknown", 0.6), ("absent", 0.1)], ("unknown", 0.6)),
        ([("unknown", 0.95), ("present", 0.8)], ("present", 0.8)),
    ],
)
def test_a_recording_is_absent_only_where_every_window_is(
    engine: Engine, windows: list[tuple[State, float | None]], expected: tuple[State, float | None]
) -> None:
    (answer,) = engine.unheard(["siren?"], "silent_input", window_s=(0.0, 5.0))
    answers = [replace(answer, state=state, presence=presence) for state, presence in windows]
    summary = summarize(answers)
    assert (summary.state, summary.presence) == expected


def test_impossible_thresholds_are_refused() -> None:
    with pytest.raises(ListenEdgeError, match="expected 0 < off <= on < 1"):
        Thresholds(on=0.5, off=0.6)
