"""Events that can be trusted: whole, once, in order, whatever happens to process or disk."""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listen_edge.runtime.service.records import database, unwritten
from listen_edge.runtime.service.records.schema import StoreError
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import StoredEvent, Verdict
from tests.stored import BEGAN, begin, end


@pytest.fixture()
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "events.db", tmp_path / "clips", clock=lambda: BEGAN) as store:
        yield store


def _reopened(store: Store) -> Store:
    store.close()
    return Store(store.path, store.clips)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Another process writes, and does not end it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def _full(path: Path) -> Iterator[None]:
    """No file of this process grows beyond the store's log as it is now."""
    size = Path(f"{path}-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_event_comes_back_as_it_went_in(store: Store) -> None:
    event = begin(store, clip="/var/clips/20261126T080000.123Z_siren.flac", level_dbfs=None)
    store.go_on(event.id, duration_s=120.5, peak_presence=0.97)
    ended = end(store, event, duration_s=200.25)
    assert ended == replace(
        event,
        ended_at=BEGAN + timedelta(seconds=205.25),
        duration_s=200.25,
        peak_presence=0.98,
        reason="not_heard",
        clip="20261126T080000.123Z_siren.flac",
    )
    store.acknowledge(event.id)
    store.judge(event.id, "false_alarm", "the kettle\n")
    judged = replace(ended, acknowledged_at=BEGAN, verdict="false_alarm", note="the kettle\n")
    assert store.event(event.id) == judged
    with _reopened(store) as again:
        assert again.events() == [judged]
        assert again.judge(event.id, None) == replace(judged, verdict=None, note="")


def test_what_is_not_there_is_told(store: Store) -> None:
    assert (store.event(7), store.judge(7, "right"), store.acknowledge(7)) == (None, None, None)
    with pytest.raises(StoreError, match=r"events\.db: there is no event 7"):
        store.go_on(7, duration_s=1.0, peak_presence=0.9)


def test_what_sqlite_cannot_hold_is_in_no_event(store: Store) -> None:
    event = begin(store, ask="caf\u00e9 \ud83d?")
    assert event.ask == "caf\u00e9 ??" and store.events() == [event]
    judged = store.judge(event.id, "right", "\udcff")
    assert judged is not None and judged.note == "?" and store.problem is None
    huge = 1 << 70
    assert store.event(huge) is None and store.event(-huge) is None
    assert store.events(before=huge, limit=huge) == [judged] and store.events(before=-huge) == []
    assert store.events(source="\ud83d") == []


def test_each_output_is_owed_every_phase_as_it_stood(store: Store) -> None:
    assert store.pending("mqtt") == []
    first = begin(store)
    store.go_on(first.id, duration_s=120.0, peak_presence=0.97)
    assert store.pending("phone") == []  # new outputs begin at now
    second = begin(store, question="dog")
    ended = end(store, first)
    assert end(store, first, duration_s=99.0) == ended  # once
    store.judge(first.id, "right")
    right = replace(first, verdict="right")
    owed = [(one.seq, one.phase, one.event) for one in store.pending("mqtt")]
    assert owed == [
        (1, "start", right),
        (2, "update", replace(right, duration_s=120.0, peak_presence=0.97)),
        (3, "start", second),
        (4, "end", replace(ended, verdict="right")),
    ]
    assert store.n_pending("mqtt") == 4 and store.n_pending("phone") == 2
    store.delivered("mqtt", 2)
    store.delivered("mqtt", 1)  # what is done stays done
    assert store.n_pending("mqtt") == 2
    assert [one.seq for one in store.pending("mqtt", limit=1)] == [3]
    with _reopened(store) as again:
        assert [one.seq for one in again.pending("mqtt")] == [3, 4]
        assert [one.seq for one in again.pending("phone")] == [3, 4]


def test_an_output_that_is_owed_nothing_does_not_read_the_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.pending("mqtt") == []
    begin(store)
    (start,) = store.pending("mqtt")
    store.delivered("mqtt", start.seq)
    with monkeypatch.context() as patched:
        patched.setattr(database.Database, "read", lambda *_: pytest.fail("the file is read"))
        assert store.pending("mqtt") == []
    end(store, begin(store, question="dog"))
    owed = store.pending("mqtt")
    assert [one.seq for one in owed] == [start.seq + 1, start.seq + 2]
    store.tidy()
    assert store.pending("mqtt") == owed  # as the file holds it


def test_what_is_too_old_or_too_much_for_an_output_is_given_up(tmp_path: Path) -> None:
    now = [BEGAN]
    with Store(tmp_path / "events.db", None, clock=lambda: now[0]) as store:
        store.pending("mqtt")
        for _ in range(6):
            begin(store)
            now[0] += timedelta(minutes=1)
        assert store.skip_older("mqtt", age_s=3600.0, n=10) == 0
        assert store.skip_older("mqtt", age_s=301.0, n=10) == 1
        assert store.skip_older("mqtt", age_s=3600.0, n=3) == 2
        assert [one.seq for one in store.pending("mqtt")] == [4, 5, 6]
        assert store.skip_older("mqtt", age_s=0.0, n=10) == 3
        assert store.pending("mqtt") == []


def test_what_a_crash_left_open_is_ended_once(store: Store) -> None:
    store.pending("mqtt")
    left = begin(store)
    store.go_on(left.id, duration_s=120.0, peak_presence=0.97)
    end(store, begin(store))
    with _reopened(store) as again:
        (ended,) = again.close_open()
        assert (ended.id, ended.reason) == (left.id, "interrupted")
        assert ended.ended_at == BEGAN + timedelta(seconds=120)
        assert again.close_open() == []
        last = again.pending("mqtt")[-1]
        assert (last.phase, last.event) == ("end", ended)


def test_a_killed_process_leaves_no_event_twice_open_or_lost(tmp_path: Path) -> None:
    """Killed 20 times at any moment, with everything that it said beforehand."""
    n_rounds = 20
    command = [sys.executable, "-m", "tests.killed_store", str(tmp_path), str(n_rounds), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert [verdict for verdict, _, _ in told["found"]] == ["ok"] * n_rounds
    assert [n_again for _, _, n_again in told["found"]] == [0] * n_rounds
    ids, uids, are_ended, reasons = zip(*told["events"], strict=True)
    assert sorted(ids, reverse=True) == list(ids) and len(set(uids)) == len(uids)
    assert all(are_ended) and "interrupted" in reasons and "not_heard" in reasons
    assert {line.split()[1] for line in told["log"] if line.startswith("begun")} <= set(uids)
    lines = [line.split() for line in told["log"] if not line.startswith("begun")]
    came = [tuple(words[1:]) for words in lines if words[0] == "delivered"]
    came += [(str(seq), uid, phase) for seq, uid, phase in told["left"]]
    twice = {one for one, n in Counter(came).items() if n > 1}
    in_flight = {tuple(words[1:]) for words, after in pairwise(lines) if after == ["killed"]}
    assert twice <= in_flight and max(Counter(came).values()) == 1 + bool(twice)
    seqs = [int(seq) for seq, _, _ in came]
    assert seqs == sorted(seqs) and set(seqs) == set(range(1, seqs[-1] + 1))
    phases = Counter((uid, phase) for _, uid, phase in set(came))
    assert all(phases[uid, "start"] == phases[uid, "end"] == 1 for uid in uids)


def test_threads_write_and_read_at_once(store: Store) -> None:
    store.pending("mqtt")
    failed: list[BaseException] = []
    is_over = threading.Event()

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as err:  # noqa: BLE001 - told below
                failed.append(err)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write(source: str) -> None:
        for k in range(100):
            event = begin(store, source=source)
            store.add_presence(source, "siren", BEGAN + timedelta(seconds=10 * k), 0.5)
            end(store, event)

    def read() -> None:
        n_before = 0
        while not is_over.is_set():
            ids = [event.id for event in store.events(limit=1000)]
            assert ids == list(range(len(ids), 0, -1)) and len(ids) >= n_before
            n_before = len(ids)
            seqs = [one.seq for one in store.pending("mqtt", limit=1000)]
            assert seqs == list(range(1, len(seqs) + 1))
            store.presence("a", "siren", BEGAN, BEGAN + timedelta(days=1))

    writers = [guarded(lambda name=name: write(name)) for name in ("a", "b")]  # type: ignore[misc]
    reader = guarded(read)
    for writer in writers:
        writer.join()
    is_over.set()
    reader.join()
    assert failed == []
    assert len(store.pending("mqtt", limit=1000)) == 400 and len(store.events(limit=1000)) == 200
    for source in ("a", "b"):
        times, _ = store.presence(source, "siren", BEGAN, BEGAN + timedelta(days=1))
        assert list(times.round() - int(BEGAN.timestamp())) == list(range(0, 1000, 10))


@pytest.mark.parametrize("trouble", [_full, _held], ids=["full disk", "held by another"])
def test_events_go_on_in_memory_and_are_written_later(
    store: Store,
    trouble: Callable[[Path], AbstractContextManager[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "RETRY_S", 0.0)
    store.pending("mqtt")
    written = begin(store)
    with trouble(store.path):
        ended = end(store, written)
        waiting = begin(store, ask="a siren? " * 1000)
        assert store.events() == [waiting, ended] and store.event(waiting.id) == waiting
        assert store.judge(waiting.id, "right") == store.events(verdict="right")[0]
        phases = [(one.seq, one.phase) for one in store.pending("mqtt")]
        assert phases == [(1, "start"), (2, "end"), (3, "start")]
        store.delivered("mqtt", 2)
        assert [one.seq for one in store.pending("mqtt")] == [3]
        told = store.take_problem()
        assert told is not None and len(str(told).splitlines()) == 1
        assert "2 events wait in memory; free some space there" in str(told)
        assert store.take_problem() is None and store.problem is not None  # once a minute
    store.tidy()
    assert store.problem is None
    with _reopened(store) as again:
        assert [event.id for event in again.events()] == [waiting.id, written.id]
        assert again.event(written.id) == ended
        assert [one.seq for one in again.pending("mqtt")] == [3]


def test_memory_is_bounded_while_nothing_can_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwritten, "MAX_EVENTS", 10)
    goes_on = begin(store)
    with _held(store.path):
        store.go_on(goes_on.id, duration_s=1.0, peak_presence=0.97)
        for _ in range(30):
            end(store, begin(store))
        kept = store.events()
        assert [event.id for event in kept] == [*range(31, 22, -1), goes_on.id]
        assert {one.event.id for one, _ in store._database.unwritten.outbox} == {
            event.id for event in kept
        }
        store.tidy()
        assert "10 events wait in memory, 21 are lost" in str(store.problem)
    store.tidy()
    assert len(store.events()) == 10 and begin(store).id == 32


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, list[StoredEvent]]]:
    """A store with events of every kind, some of them not written yet, and the same as a list."""
    with Store(tmp_path_factory.mktemp("many") / "events.db", None) as store:
        kinds = [
            (source, question, verdict)
            for verdict in ("right", None, "false_alarm")
            for source in ("kitchen", "hall")
            for question in ("siren", "dog", "glass")
        ]
        for k in range(40):
            source, question, verdict = kinds[k * 7 % len(kinds)]
            started_at = BEGAN + timedelta(minutes=k * 13 % 40)  # a clock that jumps
            event = begin(store, source=source, question=question, started_at=started_at)
            store.judge(event.id, verdict)  # type: ignore[arg-type]
        begin(store, is_test=True)
        with _held(store.path):
            store.judge(3, "right")
            end(store, begin(store))
            events = [store.event(event_id) for event_id in range(42, 0, -1)]
            yield store, [event for event in events if event is not None]


@given(
    source=st.sampled_from([None, "kitchen", "hall", "attic"]),
    question=st.sampled_from([None, "siren", "dog"]),
    verdict=st.sampled_from([None, "right", "false_alarm"]),
    since=st.none() | st.integers(0, 40).map(lambda minutes: BEGAN + timedelta(minutes=minutes)),
    with_tests=st.booleans(),
    limit=st.integers(1, 50),
)
def test_pages_hold_every_event_once_in_order(
    many: tuple[Store, list[StoredEvent]],
    source: str | None,
    question: str | None,
    verdict: Verdict | None,
    since: datetime | None,
    with_tests: bool,
    limit: int,
) -> None:
    store, events = many
    asked = {"source": source, "question": question, "verdict": verdict, "since": since}
    found, before = [], None
    while page := store.events(before=before, limit=limit, with_tests=with_tests, **asked):  # type: ignore[arg-type]
        assert len(page) <= limit
        found += page
        before = page[-1].id
    assert found == [
        event
        for event in events
        if source in (None, event.source)
        and question in (None, event.question)
        and verdict in (None, event.verdict)
        and (since is None or event.started_at >= since)
        and (with_tests or not event.is_test)
    ]
