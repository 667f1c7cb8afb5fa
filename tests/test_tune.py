"""Thresholds for a wanted false-alarm rate, on streams whose presence is known."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from listen_edge.bundle.thresholds import TunedThresholds, read_thresholds
from listen_edge.cli.root import cli
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.runtime.listening.listener import ListenConfig
from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.measure import tune
from listen_edge.runtime.measure.background import mix
from listen_edge.runtime.measure.false_alarms import Operation, Trace, operate, tune_thresholds
from listen_edge.runtime.measure.mixing import Mixing
from listen_edge.runtime.measure.tune import TARGETS, negative_traces, positive_traces
from listen_edge.runtime.thresholds import Thresholds
from tests.streams import RATE, LevelEngine

CONFIG = ListenConfig(
    trigger=TriggerConfig(
        Thresholds(), confirm=(1, 1), end_after_s=1.0, cooldown_s=0.0, long_event_s=10.0
    )
)


def trace(*peaks: float, onset_s: float | None = None) -> Trace:
    """An hour of windows a second apart, with a window of each peak every minute."""
    presence = np.full(3600, 0.1)
    presence[30 : 30 + 60 * len(peaks) : 60] = peaks
    return Trace(np.arange(1.0, 3601.0), presence, onset_s)


def test_the_lowest_thresholds_that_keep_the_rate_are_found() -> None:
    negatives = trace(0.6, 0.75, 0.9, 0.98)
    for per_hour, lowest, n_alarms in ((4, 0.5, 4), (2, 0.75, 2), (1, 0.9, 1), (0, 0.98, 0)):
        found = tune_thresholds(negatives, CONFIG, 1.0, per_hour=per_hour, ratio=Thresholds())
        assert lowest <= found.on <= lowest + 0.02
        operation = operate(negatives, [], found, CONFIG, 1.0)
        assert operation.false_alarms == n_alarms
        assert operation.false_alarms_per_hour == pytest.approx(n_alarms)


def test_one_event_that_never_ends_is_no_low_rate() -> None:
    negatives = trace(*[0.75] * 20)
    negatives.presence[negatives.presence == 0.1] = 0.45  # keeps an event going from `on` 0.5
    found = tune_thresholds(negatives, CONFIG, 1.0, per_hour=1, ratio=Thresholds(0.7, 0.55))
    assert found.on > 0.75


def test_off_stays_as_far_below_on_in_logits() -> None:
    found = tune_thresholds(trace(0.9), CONFIG, 1.0, per_hour=0, ratio=Thresholds(0.7, 0.55))
    gap = np.log(found.on / (1 - found.on)) - np.log(found.off / (1 - found.off))
    assert gap == pytest.approx(np.log(0.7 / 0.3) - np.log(0.55 / 0.45))


def test_recall_and_latency_count_from_the_onset() -> None:
    heard, missed, too_early = (
        trace(0.9, onset_s=28.5),
        trace(0.5, onset_s=28.5),
        trace(0.9, onset_s=40.0),
    )
    operation = operate(trace(), [heard, missed, too_early], Thresholds(), CONFIG, 1.0)
    assert operation.recall == pytest.approx(1 / 3)
    assert operation.latencies_s == (2.5,)


def test_a_recording_is_mixed_at_the_wanted_ratio_where_it_sounds() -> None:
    rng = np.random.default_rng(0)
    background = rng.normal(0, 0.01, 20 * RATE).astype(np.float32)
    sound = np.zeros(3 * RATE, np.float32)
    sound[RATE : 2 * RATE] = np.sin(np.arange(RATE)) * 0.5
    mixture, onset_s = mix(sound, background, (10.0, 10.0), rng)
    assert onset_s == pytest.approx(7.0, abs=0.05)
    added = mixture - background
    power = np.mean(added[7 * RATE : 8 * RATE] ** 2) / np.mean(background**2)
    assert 10 * np.log10(power) == pytest.approx(10.0, abs=0.5)
    assert not added[: 7 * RATE].any() and not added[8 * RATE :].any()


@pytest.fixture()
def material(tmp_path: Path) -> Path:
    """Negatives of which some hold a siren, and positives; LevelEngine hears loudness."""

    def write(name: str, level: float, seconds: float) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, np.full(round(seconds * RATE), level), RATE)

    write("negatives/room/a.wav", 0.01, 5)
    write("negatives/siren/b.wav", 0.9, 5)
    write("negatives/street/c.wav", 0.01, 5)
    write("positives/siren/d.wav", 0.9, 3)
    write("positives/dog/e.wav", 0.9, 3)
    return tmp_path


def test_what_holds_the_sound_is_no_negative_of_it(material: Path) -> None:
    engine = LevelEngine()
    traces = negative_traces(engine, ["siren", "dog"], material / "negatives", CONFIG)  # type: ignore[arg-type]
    assert traces["siren"].presence.max() < 0.5
    assert traces["dog"].presence.max() > 0.85
    hours = len(traces["dog"].presence) - len(traces["siren"].presence)
    assert hours == pytest.approx(2 * (5 + 1), abs=1)  # windows that touch the five seconds


def test_positives_lie_in_folders_named_like_their_question(material: Path) -> None:
    def traces_of(*concepts: str) -> dict[str, list[Trace]]:
        return positive_traces(
            LevelEngine(),  # type: ignore[arg-type]
            concepts,
            material / "positives",
            material / "negatives",
            CONFIG,
            Mixing(snr_db=(30.0, 30.0), n_mixtures=2),
        )

    traces = traces_of("siren", "dog")
    assert [len(found) for found in traces.values()] == [2, 2]
    assert all(t.onset_s == pytest.approx(6.0) for found in traces.values() for t in found)
    with pytest.raises(AudioError, match="no sub-folder named 'cat'"):
        traces_of("siren", "cat")


def test_a_bad_recording_among_good_ones_is_told_and_left_out(
    material: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in ("negatives/room", "negatives/street", "positives/siren"):
        (material / folder / "0.wav").touch()
        soundfile.write(material / folder / "1.wav", np.zeros(0), RATE)
    traces = positive_traces(
        LevelEngine(),  # type: ignore[arg-type]
        ["siren"],
        material / "positives",
        material / "negatives",
        CONFIG,
        Mixing(snr_db=(30.0, 30.0), n_mixtures=6),
    )
    assert len(traces["siren"]) == 6
    told = [record.getMessage() for record in caplog.records]
    assert [line.rpartition("siren/")[2] for line in told] == [
        "0.wav: the file is empty",
        "1.wav: 0 samples (0.0000 s), expected at least 0.1 s",
    ]


TUNED = TunedThresholds("tiny@sha256:00000000", 1.0, (2, 3), {"siren": (0.97, 0.9)}, {})


def test_the_file_that_tune_writes_is_the_file_that_mic_reads(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    TUNED.write(path)
    found = read_thresholds(path)
    assert found == TUNED
    found.check_use("tiny@sha256:00000000", 1.0, (2, 3))
    with pytest.raises(ListenEdgeError, match="tuned for bundle tiny@sha256:00000000"):
        found.check_use("other@sha256:11111111", 1.0, (2, 3))
    with pytest.raises(ListenEdgeError, match="--hop 1 --confirm 2/3"):
        found.check_use("tiny@sha256:00000000", 2.0, (2, 3))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"schema": 1e999}',
        '{"schema": 2}',
        '{"schema": 1, "bundle": "b", "hop_s": 1, "confirm": [2, 3], '
        '"questions": {"siren": {"on": 0.5, "off": 0.6}}}',
        '{"schema": 1, "bundle": "b", "hop_s": 1, "confirm": [2, 3], "questions": {"siren": 1}}',
    ],
)
def test_a_damaged_thresholds_file_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(content)
    with pytest.raises(ListenEdgeError, match=r"thresholds\.json: not a thresholds file"):
        read_thresholds(path)
    with pytest.raises(ListenEdgeError, match="no such file"):
        read_thresholds(tmp_path / "nothing.json")


def test_tune_writes_what_mic_reads(tmp_path: Path, tiny_folder: Path) -> None:
    """With the real bundle: a siren among dogs, glass and babies."""
    negatives, positives, out = tmp_path / "neg", tmp_path / "pos/siren", tmp_path / "out.json"
    negatives.mkdir()
    positives.mkdir(parents=True)
    for clip in (tiny_folder / "clips").glob("*.ogg"):
        target = positives if clip.stem == "siren" else negatives
        (target / clip.name).symlink_to(clip)
    arguments = ["tune", "--ask", "siren?", "--negatives", str(negatives), "--positives"]
    arguments += [str(positives.parent), "--mixtures", "1", "--snr", "10", "10", "--out", str(out)]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    tuned = read_thresholds(out)
    assert tuned.by_concept["siren"][0] >= 0.5
    written = json.loads(out.read_text())["questions"]["siren"]
    assert written["false_alarms"] == 0 and written["recall"] in (0.0, 1.0)


def test_bench_stream_gives_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measuring itself takes minutes; what it is asked for, and what is made of it, do not."""
    given: dict[str, object] = {}
    operation = Operation(Thresholds(0.9, 0.8), 1, 2.0, math.nan, ())

    def stream(engine: object, questions: object, *, minutes: float, seed: int) -> dict[str, float]:
        given.update(minutes=minutes, seed=seed)
        return {"compute_per_audio_second_s": 0.25}

    def operations(
        engine: object, concepts: tuple[str, ...], *others: object, per_hour: float, **_: object
    ) -> tuple[dict[str, Operation], dict[str, Operation]]:
        negatives, positives, _config, mixing = others
        given.update(negatives=negatives, positives=positives, mixing=mixing, per_hour=per_hour)
        return dict.fromkeys(concepts, operation), {"siren": operation}

    monkeypatch.setattr("listen_edge.cli.bench.load_engine", lambda **_: nullcontext())
    monkeypatch.setattr("listen_edge.runtime.measure.stream.measure_stream", stream)
    monkeypatch.setattr("listen_edge.runtime.measure.tune.measure_operations", operations)
    arguments = ["bench", "stream", "--minutes", "1", "--soak-minutes", "0", "--format", "json"]
    arguments += ["--negatives", str(tmp_path), "--seed", "3", "--snr", "5", "6", "--mixtures", "2"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert given == {
        "minutes": 1.0, "seed": 3, "negatives": tmp_path, "positives": None,
        "mixing": Mixing((5.0, 6.0), 2, 3), "per_hour": 0.5,
    }  # fmt: skip
    figures = json.loads(result.stdout)
    assert figures["compute_per_audio_second_s"] == 0.25
    assert figures["worst_false_alarms_per_hour"] == 0.5
    assert set(figures["questions"]["default"]) == {*TARGETS}
    assert figures["questions"]["tuned"] == {"siren": operation.to_json()}


@pytest.mark.parametrize(
    ("name", "concepts"),
    [("2026-01-01", set()), ("noise", set()), ("dog_barking", {"dog barking"})],
)
def test_a_folder_named_after_no_sound_holds_none(
    name: str, concepts: set[str], tmp_path: Path
) -> None:
    assert tune._names(tmp_path / name / "a.wav", tmp_path) == concepts
