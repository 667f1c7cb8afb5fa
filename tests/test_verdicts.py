"""What people said of events: thresholds that their verdicts bear, and a data set of them."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from listen_edge.cli.root import cli
from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.records.labelled_folder import export_labelled
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import StoredEvent, Verdict
from listen_edge.runtime.service.records.verdicts import Advice, advice, share_at_least
from listen_edge.runtime.thresholds import Thresholds
from listen_edge.train.datasets import read_dataset
from tests.stored import BEGAN, begin, end

CONFIRM = (2, 3)


@pytest.fixture()
def store(tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "clips").mkdir()
    with Store(tmp_path / "events.db", tmp_path / "clips") as store:
        yield store


def _heard(
    store: Store,
    peaks: Sequence[float],
    verdict: Verdict | None,
    question: str = "siren",
    on: float = 0.95,
) -> None:
    """An event for each peak: its surest window is far above the two others, which confirm it."""
    for peak in peaks:
        started_at = BEGAN + timedelta(minutes=len(store.events(limit=1000)))
        event = begin(store, question=question, started_at=started_at, on=on)
        for k, presence in enumerate((0.99995, peak, peak - 0.0005)):
            ends_at = started_at + timedelta(seconds=2 * k + 2)
            store.add_presence("kitchen", question, ends_at, presence)
        end(store, event, 6.0)
        store.judge(event.id, verdict)


def _advised(store: Store, question: str = "siren") -> Advice:
    (found,) = [one for one in advice(store, CONFIRM) if one.question == question]
    return found


def test_a_threshold_between_right_and_false_is_advised(store: Store) -> None:
    _heard(store, [0.99, 0.9975, 0.98], "right")
    _heard(store, [0.955, 0.96], "false_alarm")
    _heard(store, [0.97] * 4, None)
    found = _advised(store)
    # By hand: logits of 0.96 and 0.98 are 3.178 and 3.892, halfway 3.535; off keeps 2.539 below.
    assert found.then is not None and found.now == Thresholds(0.95, 0.6)
    assert found.then.on == pytest.approx(0.9717, abs=2e-4)
    assert found.then.off == pytest.approx(0.7304, abs=2e-3)
    assert (found.n_right, found.n_right_kept, found.n_false, found.n_false_left) == (3, 3, 2, 0)
    assert (found.n_unmarked, found.n_left_out) == (4, 0)
    assert found.right_kept_at_least == pytest.approx(0.05 ** (1 / 3), abs=1e-4)


@pytest.mark.parametrize(
    ("right", "false", "why", "n_left"),
    [
        ([0.97, 0.99], [], "no false alarm is marked", 0),
        ([], [0.96, 0.97], "nobody knows what a higher threshold would miss", 2),
        ([0.96], [0.965, 0.99], "no threshold tells them apart; export them and train", 2),
    ],
    ids=["nothing false", "nothing right", "they overlap"],
)
def test_verdicts_that_bear_no_threshold_say_why(
    store: Store, right: list[float], false: list[float], why: str, n_left: int
) -> None:
    _heard(store, right, "right")
    _heard(store, false, "false_alarm")
    found = _advised(store)
    assert found.then is None and why in found.why
    assert (found.n_right_kept, found.n_false_left) == (len(right), n_left)


def test_a_threshold_is_never_lowered(store: Store) -> None:
    _heard(store, [0.8], "right", on=0.5)
    _heard(store, [0.6], "false_alarm", on=0.5)
    _heard(store, [0.97], None)
    found = _advised(store)
    assert found.then is None and found.why == (
        "on 0.95 is already above what the verdicts ask for (0.7101)"
    )
    assert (found.n_right_kept, found.n_right, found.n_false_left) == (0, 1, 0)


def test_false_alarms_above_what_is_right_stay(store: Store) -> None:
    _heard(store, [0.98], "right")
    _heard(store, [0.96, 0.999], "false_alarm")
    found = _advised(store)
    assert found.then is not None and (found.n_right_kept, found.n_false_left) == (1, 1)


def test_another_bundles_events_and_those_without_a_curve_do_not_count(store: Store) -> None:
    old = end(store, begin(store, bundle="old@sha256:00000000"))
    store.judge(old.id, "right")
    _heard(store, [0.96], "false_alarm")
    curveless = end(store, begin(store, started_at=BEGAN + timedelta(days=1)))
    store.judge(curveless.id, "right")
    store.judge(end(store, begin(store, is_test=True)).id, "right")
    found = _advised(store)
    assert (found.n_right, found.n_false, found.n_left_out) == (0, 1, 1)
    assert advice(store, CONFIRM) == [found]


@pytest.mark.parametrize(
    ("n", "of", "share"),
    [(3, 3, 0.3684), (10, 10, 0.7411), (59, 59, 0.9505), (9, 10, 0.6058), (0, 5, 0.0), (0, 0, 0.0)],
)
def test_few_verdicts_bear_little(n: int, of: int, share: float) -> None:
    """Published limits of Clopper and Pearson, one-sided at 95 %."""
    assert share_at_least(n, of) == pytest.approx(share, abs=2e-4)


def _with_clip(store: Store, verdict: Verdict | None, name: str, s: float, **changes: str) -> None:
    """A clip of s seconds whose every second is a level of its own."""
    assert store.clips is not None
    event = begin(store, clip=name, **changes)
    end(store, event, 3.0)
    store.judge(event.id, verdict, "a note, with a comma")
    levels = np.repeat(np.arange(s) / 100, 16_000)
    soundfile.write(store.clips / name, np.stack([levels, -levels], 1), 16_000)


def test_judged_events_become_a_data_set_that_training_reads(store: Store, tmp_path: Path) -> None:
    _with_clip(store, "right", "a.flac", 20)
    _with_clip(store, "false_alarm", "b.flac", 6, concept="smoke alarm", source="hall")
    _with_clip(store, None, "c.flac", 6)
    store.judge(end(store, begin(store)).id, "right")
    store.judge(end(store, begin(store, clip="../clips/a.flac")).id, "right")
    assert store.clips is not None
    (store.clips / "d.flac").write_bytes(b"fLaC no more")
    store.judge(end(store, begin(store, clip="d.flac")).id, "right")
    out = tmp_path / "out"
    exported = export_labelled(store, out)
    assert (exported.n_right, exported.n_false) == (2, 1)
    assert [line.partition(":")[0] for line in exported.left_out] == ["event 4", "event 6"]
    right, false, _ = read_dataset(f"labelled:{out}")
    assert (right.tags, right.absent, right.split) == (("siren",), (), "kitchen")
    assert (false.tags, false.absent, false.split) == ((), ("smoke alarm",), "hall")
    # 5 s before the event, 3 s of it: from 4 s to 9 s, both channels; a short clip is whole.
    samples, rate = soundfile.read(right.path)
    assert rate == 16_000 and samples.shape == (5 * 16_000, 2)
    np.testing.assert_allclose(samples[::16_000, 0], [0.04, 0.05, 0.06, 0.07, 0.08], atol=1e-4)
    np.testing.assert_allclose(samples[:, 1], -samples[:, 0], atol=1e-4)
    assert soundfile.info(false.path).frames == 6 * 16_000
    with (out / "meta.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["note"] == "a note, with a comma"
    with pytest.raises(ListenEdgeError, match="holds a data set already; give an empty folder"):
        export_labelled(store, out)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_what_is_exported_is_its_owners_alone(store: Store, tmp_path: Path, umask: int) -> None:
    _with_clip(store, "right", "a.flac", 6)
    out, before = tmp_path / "out", os.umask(umask)
    try:
        export_labelled(store, out)
    finally:
        os.umask(before)
    modes = {str(p.relative_to(tmp_path)): p.stat().st_mode & 0o777 for p in out.rglob("*")}
    assert modes.pop("out/audio") == out.stat().st_mode & 0o777 == 0o700
    assert sorted(modes.values()) == [0o600, 0o600], modes


@pytest.mark.parametrize("note", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a=1", "'=1", ""])
def test_no_note_is_a_formula(store: Store, tmp_path: Path, note: str) -> None:
    _with_clip(store, "false_alarm", "a.flac", 6)
    store.judge(1, "false_alarm", note)
    export_labelled(store, tmp_path / "out")
    with (tmp_path / "out/meta.csv").open(newline="") as file:
        written = next(csv.DictReader(file))["note"]
    assert written == (note if note[:1] in ("a", "'", "") else f"'{note}")


def test_no_event_of_a_foreign_database_is_written_outside_the_folder(
    store: Store, tmp_path: Path
) -> None:
    _with_clip(store, "right", "a.flac", 6)
    store._database.change("UPDATE events SET uid = '../../escaped'")
    exported = export_labelled(store, tmp_path / "out")
    assert exported.left_out == ("event 1: its uid is no name for a file",)
    assert not list(tmp_path.rglob("escaped.flac"))


def _run(store: Store, *arguments: str) -> Result:
    where = ["--events", str(store.path), "--clips", str(store.clips)]
    return CliRunner().invoke(cli, ["events", *arguments, *where])


def test_the_command_lists_beside_a_running_service(store: Store) -> None:
    _heard(store, [0.96], "right")
    begin(store, ask="dog\x1b[31m?", question="dog", concept="dog")
    listed = _run(store, "list")
    assert listed.exit_code == 0, listed.output
    first, second = listed.output.splitlines()
    assert first.split()[0] == "2" and "dog" in first
    assert second.split()[3:] == ["kitchen", "siren", "6.0", "s", "0.9800", "right"]
    lines = _run(store, "list", "--format", "jsonl", "--verdict", "right").output.splitlines()
    (row,) = map(json.loads, lines)
    assert (row["id"], row["started_at"]) == (1, "2026-11-26T08:00:00.123+00:00")
    assert set(row) == set(StoredEvent.__dataclass_fields__)


def test_the_command_prints_what_to_write_into_the_configuration(store: Store) -> None:
    assert "no event has a verdict yet" in _run(store, "tune").output
    _heard(store, [0.99, 0.98], "right")
    _heard(store, [0.96], "false_alarm")
    _heard(store, [0.97], "right", question="dog")
    begin(store, started_at=BEGAN + timedelta(days=1))
    store.tidy()  # else the newest minutes are not written yet
    tuned = _run(store, "tune", "--confirm", "2/3")
    assert tuned.exit_code == 0, tuned.output
    lines = tuned.output.splitlines()
    assert lines[1].split() == ["dog", "0.9500", "-", "1", "of", "1", "(at", "least", "5%)",
                                "0", "of", "0"]  # fmt: skip
    assert lines[2].split()[:5] == ["siren", "0.9500", "0.9717", "2", "of"]
    assert lines[-2] == "questions:"
    assert lines[-1].startswith('  - {id: siren, ask: "siren?", on: 0.9717, off: 0.7')


def test_the_command_asks_for_one_database(store: Store, tmp_path: Path) -> None:
    config = tmp_path / "listen.yaml"
    config.touch()
    both = ["events", "list", "--config", str(config), "--events", str(tmp_path / "e.db")]
    asked = CliRunner().invoke(cli, both)
    assert asked.exit_code == 2 and "not both" in asked.output
    exported = _run(store, "export", "--out", str(tmp_path / "out"))
    assert exported.exit_code == 0 and "0 right, 0 false alarms" in exported.output
