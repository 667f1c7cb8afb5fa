"""Passes over hours, look-alikes and events: what is asked where, and what is heard again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from listen_edge.bundle.manifest import MANIFEST, parse_manifest
from listen_edge.cli.root import cli
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.runtime.measure.background import mix, mixture
from listen_edge.runtime.measure.hearing import Hearing, names_of, stretches
from listen_edge.runtime.measure.mixing import CLEAR, Condition
from listen_edge.runtime.measure.traces import Traces, heard_by, read_traces
from tests.streams import RATE, LevelEngine

OVER_ROOM = Condition("10 dB", (10.0, 10.0), ("room",))
CONDITIONS = (CLEAR, OVER_ROOM)


def write(path: Path, level: float, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(round(seconds * RATE), level), RATE)


@pytest.fixture()
def material(tmp_path: Path) -> Path:
    """LevelEngine hears loudness."""
    write(tmp_path / "natural/room/a.wav", 0.01, 30)
    write(tmp_path / "natural/room/b.wav", 0.01, 10)
    write(tmp_path / "natural/street/siren/c.wav", 0.9, 5)
    write(tmp_path / "lookalikes/cat/d.wav", 0.9, 2)
    write(tmp_path / "lookalikes/train/siren/e.wav", 0.9, 2)
    write(tmp_path / "events/siren/f.wav", 0.9, 3)
    write(tmp_path / "events/dog/g.wav", 0.9, 3)
    return tmp_path


def hear(
    material: Path,
    *,
    concepts: tuple[str, ...] = ("siren", "dog"),
    keep: bool = False,
    calibration: float = 1.0,
) -> tuple[Traces, int]:
    """Return the traces of the material, and how many windows were listened to for them."""
    engine = LevelEngine()
    raw = {"calibration": calibration}
    manifest = SimpleNamespace(name="fake", raw=raw, files=(), events=None)
    engine.bundle = SimpleNamespace(id="fake", manifest=manifest)
    folder = material / "kept" if keep else None
    hearing = Hearing(engine, concepts, keep=folder)  # type: ignore[arg-type]
    folders = (material / part for part in ("natural", "lookalikes", "events"))
    traces = hearing.listen(*folders, CONDITIONS)
    return traces, engine.n_windows


def test_what_holds_a_sound_is_not_asked_about_it(material: Path) -> None:
    traces, _ = hear(material)
    assert [(trace.kind, list(trace.presence)) for trace in traces.natural] == [
        ("room", ["siren", "dog"]),
        ("street", ["dog"]),
    ]
    assert [(trace.kind, list(trace.presence)) for trace in traces.lookalikes] == [
        ("cat", ["siren", "dog"]),
        ("train", ["dog"]),
    ]
    assert [(trace.kind, list(trace.presence)) for trace in traces.events] == [
        (condition.name, [concept]) for concept in ("siren", "dog") for condition in CONDITIONS
    ]
    room, street = traces.natural
    assert room.presence["siren"].max() < 0.5 < street.presence["dog"].max()
    assert len(room.ends_s) == 1 + (40 - 1) / 0.5  # one stream of both recordings


def test_recordings_of_one_name_in_two_folders_are_two(material: Path) -> None:
    write(material / "events/siren/far/f.wav", 0.9, 2)
    traces, _ = hear(material, keep=True)
    assert [trace.duration_s for trace in traces.events[:4:2]] == [3.0, 2.0]
    assert hear(material, keep=True)[1] == 0


def test_a_lookalike_that_holds_all_that_is_asked_is_left_out(material: Path) -> None:
    traces, _ = hear(material, concepts=("siren",))
    assert [trace.kind for trace in traces.lookalikes] == ["cat"]


def test_an_event_is_heard_where_it_sounds_at_any_phase_of_the_hop(material: Path) -> None:
    for k in range(8):
        write(material / f"events/siren/{k}.wav", 0.9, 1 + k / 10)
    traces, _ = hear(material)
    onsets = [trace.onset_s for trace in traces.events]
    assert all(5.5 < onset <= 6.0 for onset in onsets if onset is not None)
    assert np.std(np.array(onsets, float) % 0.5) > 0.05
    assert {trace.duration_s for trace in traces.events} >= {1.0, 1.5, 1.7}


@pytest.mark.parametrize("concepts", [("siren", "dog"), ("siren",)], ids=["two", "one"])
def test_a_pass_that_was_stopped_goes_on(material: Path, concepts: tuple[str, ...]) -> None:
    whole, n_whole = hear(material, concepts=concepts)
    _, n_first = hear(material, concepts=concepts, keep=True)
    kept = sorted((material / "kept").rglob("*.npz"))
    assert n_first == n_whole and len(kept) == len(_all(whole))
    kept[0].unlink()
    kept[1].write_bytes(kept[1].read_bytes()[:100])
    again, n_again = hear(material, concepts=concepts, keep=True)
    assert 0 < n_again < n_whole
    assert hear(material, concepts=concepts, keep=True)[1] == 0
    assert _all(again) == _all(whole)
    assert sorted(_all(read_traces(material / "kept"))) == sorted(_all(whole))


def _all(traces: Traces) -> list[str]:
    """Return every trace in words."""
    return [
        repr((t.kind, t.onset_s, t.duration_s, t.ends_s.tolist(), sorted(t.presence)))
        + repr([t.presence[concept].tolist() for concept in sorted(t.presence)])
        for t in (*traces.natural, *traces.lookalikes, *traces.events)
    ]


def test_what_has_changed_is_heard_again(material: Path) -> None:
    hear(material, keep=True)
    write(material / "events/siren/f.wav", 0.8, 3)
    traces, n_windows = hear(material, keep=True)
    per_event = len(traces.events[0].ends_s)
    assert n_windows == pytest.approx(2 * per_event, abs=2)  # clear and masked
    write(material / "natural/room/b.wav", 0.02, 10)
    _, n_windows = hear(material, keep=True)
    assert n_windows == pytest.approx(len(traces.natural[0].ends_s) + 2 * per_event, abs=4)
    _, n_windows = hear(material, keep=True, calibration=2.0)
    assert n_windows == hear(material)[1]


def test_traces_hold_when_thresholds_are_written_into_the_bundle(tiny_folder: Path) -> None:
    raw = json.loads((tiny_folder / MANIFEST).read_text())

    def name(**changed: object) -> str:
        return heard_by(parse_manifest(json.dumps({**raw, **changed}).encode()), "auto")

    whole = name()
    assert whole.startswith("tiny@")
    settings = {"on": 0.9, "off": 0.5, "confirm": [2, 3]}
    assert name(events=settings, eval=[], thresholds={"on": 0.6, "off": 0.4}) == whole
    encoder, *others = raw["files"]
    assert name(files=[encoder, *others[:-1]]) == whole
    assert name(files=[{**encoder, "sha256": "0" * 64}, *others]) != whole
    assert name(calibration={**raw["calibration"], "bias": 9.0}) != whole
    assert name(head={**raw["head"], "familiar_within": 9.0}) != whole
    assert heard_by(parse_manifest(json.dumps(raw).encode()), "never") != whole


def test_hours_without_sub_folders_are_of_one_kind(material: Path) -> None:
    for name in ("a", "b"):
        (material / f"natural/room/{name}.wav").rename(material / f"natural/{name}.wav")
    (material / "natural/street/siren/c.wav").unlink()
    traces, _ = hear(material)
    assert [trace.kind for trace in traces.natural] == [""] and len(traces.events) == 4


def test_traces_of_recordings_that_are_gone_are_removed(material: Path) -> None:
    hear(material, keep=True)
    (material / "lookalikes/cat/d.wav").unlink()
    hear(material, keep=True)
    assert [trace.kind for trace in read_traces(material / "kept").lookalikes] == ["train"]


def test_a_folder_without_traces_or_with_damaged_ones_is_one_line(
    material: Path, tmp_path: Path
) -> None:
    with pytest.raises(ListenEdgeError, match="traces of nothing; expected those of one bundle"):
        read_traces(tmp_path / "none")
    hear(material, keep=True)
    next((material / "kept").rglob("*.npz")).write_bytes(b"PK")
    with pytest.raises(ListenEdgeError, match=r"\.npz: not a trace .*; remove it and listen again"):
        read_traces(material / "kept")


def test_what_is_missing_is_an_error(material: Path) -> None:
    with pytest.raises(AudioError, match="events: no sub-folder named 'cat'"):
        hear(material, concepts=("siren", "cat"))
    (material / "natural/room/a.wav").unlink()
    (material / "natural/room/b.wav").unlink()
    with pytest.raises(AudioError, match="natural: no folder 'room', to mix events into"):
        hear(material)
    hearing = Hearing(LevelEngine(), ["siren"])  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="natural: every recording holds siren"):
        hearing.listen(material / "natural", None, None, ())


def test_a_bad_recording_among_good_ones_is_told_and_left_out(
    material: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, _ = hear(material)
    for folder in ("natural/room", "lookalikes/cat", "events/siren"):
        (material / folder / "0.wav").touch()
        soundfile.write(material / folder / "1.wav", np.zeros(0), RATE)
    (material / "natural/lost").mkdir()
    (material / "natural/lost/2.wav").touch()
    traces, _ = hear(material)
    for part in ("natural", "lookalikes", "events"):
        assert len(getattr(traces, part)) == len(getattr(whole, part))
    told = " ".join(record.getMessage() for record in caplog.records)
    for line in ("cat/0.wav: the file is empty", "siren/1.wav: 0 samples", "lost: none of 1"):
        assert line in told or line.replace("lost", "natural") in told


def test_a_recording_is_mixed_at_the_wanted_ratio_where_it_sounds() -> None:
    rng = np.random.default_rng(0)
    background = rng.normal(0, 0.01, 20 * RATE).astype(np.float32)
    sound = np.zeros(3 * RATE, np.float32)
    sound[RATE : 2 * RATE] = np.sin(np.arange(RATE)) * 0.5
    mixed, onset_s = mix(sound, background, (10.0, 10.0), rng)
    assert onset_s == pytest.approx(7.0, abs=0.05)
    added = mixed - background
    power = np.mean(added[7 * RATE : 8 * RATE] ** 2) / np.mean(background**2)
    assert 10 * np.log10(power) == pytest.approx(10.0, abs=0.5)
    assert not added[: 7 * RATE].any() and not added[8 * RATE :].any()


def test_a_mixture_in_a_quiet_room_is_clear(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", 0.5, 0.8)
    made = mixture(tmp_path / "a.wav", (), (25.0, 25.0), np.random.default_rng(0), 1.0)
    start = round(made.onset_s * RATE)
    power = [np.mean(part**2) for part in np.split(made.samples, [start, start + 12_800])]
    assert 10 * np.log10(power[1] / power[0]) == pytest.approx(25.0, abs=0.3)
    assert 10 * np.log10(power[0]) == pytest.approx(-55.0, abs=0.3)
    assert made.duration_s == pytest.approx(0.8) and 5.0 <= made.onset_s <= 6.0


def test_hours_are_heard_in_stretches_of_ten_minutes(
    material: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listen_edge.runtime.measure.hearing._STRETCH_BYTES", 1_000_000)
    for k in range(3):
        write(material / f"natural/room/b{k}.wav", 0.01, 10)
    found = [[path.name for path in one.paths] for one in stretches(material / "natural")]
    assert found == [["a.wav"], ["b.wav", "b0.wav", "b1.wav"], ["b2.wav"], ["c.wav"]]


@pytest.mark.parametrize(
    ("name", "concepts"),
    [("2026-01-01", set()), ("noise", set()), ("dog_barking", {"dog barking"})],
)
def test_a_folder_named_after_no_sound_holds_none(
    name: str, concepts: set[str], tmp_path: Path
) -> None:
    assert names_of(tmp_path / name / "a.wav", tmp_path) == concepts


def test_thresholds_are_chosen_on_what_was_kept(material: Path) -> None:
    """As `bench events --keep` leaves it; LevelEngine heard sirens and dogs, and a loud cat."""
    hear(material, keep=True)

    def run(*arguments: str) -> str:
        command = ["bench", "thresholds", str(material / "kept"), "--on", "0.6", *arguments]
        result = CliRunner().invoke(cli, command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    row = json.loads(run("--confirm", "1/1", "--format", "json"))
    assert (row["confirm"], row["by_question"]["dog"]["on"]) == ([1, 1], 0.6)
    assert row["false_alarms"] == 1 and row["hours"] == pytest.approx(0.0125, rel=0.1)
    rows = json.loads(run("--format", "json"))
    assert [one["confirm"] for one in rows] == [[1, 1], [2, 2], [2, 3], [3, 4]]
    assert rows[0]["false_alarms"] == 1 and len(run().splitlines()) == 1 + 4
    field = material / "events.json"
    table = run("--confirm", "1/1", "--write", str(field))
    assert table.splitlines()[-6].startswith("all") and "alarms in hours: none" in table
    assert json.loads(field.read_text()) == {
        "on": 0.6,
        "off": 0.5,
        "confirm": [1, 1],
        "by_concept": {
            "siren": {"on": 0.5, "off": 0.4167},
            "dog": {"on": 0.9, "off": 0.75},  # the street is a little below
        },
    }
    command = ["bench", "thresholds", str(material / "kept"), "--write", str(field)]
    refused = CliRunner().invoke(cli, command)
    assert refused.exit_code == 2 and "one --on, one --off" in refused.stderr
