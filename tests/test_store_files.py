"""The store's files: whose they are, of which schema, how much of them is kept."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.records import schema
from listen_edge.runtime.service.records.clip_files import clip_path
from listen_edge.runtime.service.records.retention import Retention
from listen_edge.runtime.service.records.schema import MIGRATIONS, StoreError
from listen_edge.runtime.service.records.store import Store
from tests.stored import BEGAN, begin, end


@pytest.fixture()
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events.db"


def test_its_files_are_its_owners_alone(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o666)
    with Store(path, None) as store:
        begin(store)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    names = ("events.db", "events.db-wal", "events.db-shm", "events.db.lock")
    assert modes == dict.fromkeys(names, 0o600)


def test_one_service_writes_and_others_look(path: Path) -> None:
    with Store(path, None) as store:
        with pytest.raises(StoreError, match=r"events\.db: another listen-edge writes it; stop"):
            Store(path, None)
        event = begin(store)
        with Store(path, None, is_reader=True) as reader:
            assert reader.events() == [event]
            end(store, event)
            assert reader.events()[0].ended_at is not None
    store.close()  # again
    with Store(path, None) as again:
        assert begin(again).id == 2


def _make(path: Path, *statements: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["CREATE TABLE songs (id)"], "another program's database; give another file"),
        (
            [f"PRAGMA application_id = {schema.APPLICATION_ID}", "PRAGMA user_version = 99"],
            r"schema 99 of a newer listen-edge, this one knows up to \d+; upgrade listen-edge",
        ),
    ],
    ids=["foreign", "newer"],
)
def test_another_database_is_refused_and_left_as_it_is(
    path: Path, statements: list[str], message: str
) -> None:
    _make(path, *statements)
    path.chmod(0o664)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=message):
        Store(path, None)
    with pytest.raises(StoreError, match=message):
        Store(path, None, is_reader=True)
    assert path.read_bytes() == before and stat.S_IMODE(path.stat().st_mode) == 0o664


def test_what_is_no_database_is_refused_in_one_line(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file; `listen-edge watch` makes it"):
        Store(path, None, is_reader=True)
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 100)
    path.chmod(0o664)
    with pytest.raises(StoreError, match=r"file is not a database\); move it away"):
        Store(path, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o664  # a slip of a path closes nobody's file
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="not usable as store of events"):
        Store(tmp_path / "file" / "events.db", None)


def test_a_damaged_file_is_told_where_it_is_read(path: Path) -> None:
    with Store(path, None) as store:
        for _ in range(300):
            begin(store, ask="x" * 200)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(StoreError, match="move it away"), Store(path, None) as store:
        store.events()


def test_an_older_schema_is_brought_up_to_date_and_kept_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(path, None) as store:
        event = begin(store)
    n = len(MIGRATIONS)
    colour = "ALTER TABLE events ADD COLUMN colour TEXT"
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, f"{colour}; SELECT nonsense;"))
    with pytest.raises(StoreError, match="no such column: nonsense"):
        Store(path, None)
    with pytest.raises(StoreError, match="of an older listen-edge; `listen-edge watch` brings"):
        Store(path, None, is_reader=True)
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, colour))
    with Store(path, None) as store:
        assert store.event(event.id) == event
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (n + 1,)
        assert connection.execute("SELECT colour FROM events").fetchall() == [(None,)]
    copy = path.with_name(f"events.db.schema{n}")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS)
    with Store(copy, None) as store:
        assert store.event(event.id) == event


@pytest.fixture()
def kept(path: Path) -> Iterator[Store]:
    """Ten days of one event each with a clip of 10 kB; the third is right, the last goes on."""
    clips = path.parent / "clips"
    clips.mkdir(parents=True)
    with Store(path, clips, clock=lambda: BEGAN + timedelta(days=10)) as store:
        store.pending("mqtt")
        for day in range(10):
            event = begin(store, started_at=BEGAN + timedelta(days=day), clip=f"{day}.flac")
            (clips / f"{day}.flac").write_bytes(bytes(10_000))
            if day < 9:
                end(store, event)
        store.judge(3, "right")
        (clips / "others.flac").write_bytes(bytes(1_000_000))
        yield store


def _days(store: Store) -> list[int]:
    days = [(event.started_at - BEGAN).days for event in reversed(store.events())]
    assert store.clips is not None
    files = {file.name for file in store.clips.iterdir()}
    assert files == {"others.flac", *(f"{day}.flac" for day in days)}
    return days


def test_what_is_too_old_goes_with_its_clip_and_what_is_owed(kept: Store) -> None:
    kept.retention = Retention(keep_days=6.5)
    assert kept.tidy().n_events == 4
    assert _days(kept) == [4, 5, 6, 7, 8, 9]
    assert kept.pending("mqtt")[0].event.id == 5
    assert begin(kept).id == 11


def test_what_is_too_much_goes_oldest_first_and_judged_last(kept: Store) -> None:
    (n_pages,), (page_bytes,) = (
        kept._database.read(f"PRAGMA {name}")[0] for name in ("page_count", "page_size")
    )
    database_mb = n_pages * page_bytes / 1e6
    kept.retention = Retention(keep_mb=database_mb + 0.052)
    kept.tidy()
    assert _days(kept) == [2, 6, 7, 8, 9]
    kept.retention = Retention(keep_mb=0.001)
    kept.tidy()
    assert _days(kept) == [9]  # it goes on
    kept.retention = Retention()
    assert kept.tidy().n_events == 0


def test_delivered_phases_do_not_pile_up(kept: Store) -> None:
    kept.delivered("mqtt", 5)
    kept.tidy()
    assert kept._database.read("SELECT min(seq), max(seq) FROM outbox") == [(6, 19)]


def test_presence_goes_after_its_days_but_not_that_of_an_event(kept: Store) -> None:
    for hour in range(10 * 24):
        ends_at = BEGAN + timedelta(hours=hour)
        kept.add_presence("kitchen", "siren", ends_at, 0.5)
        kept.add_presence("kitchen", "siren", ends_at + timedelta(seconds=300), 0.5)
    kept.retention = Retention(history_days=3)
    kept.tidy()
    times, _ = kept.presence("kitchen", "siren", BEGAN, BEGAN + timedelta(days=20))
    hours = np.unique(np.round((times - BEGAN.timestamp()) / 3600))
    assert list(hours) == [24 * day for day in range(7)] + list(range(7 * 24, 240))


@pytest.mark.parametrize("field", ["keep_days", "keep_mb", "history_days"])
def test_impossible_retention_is_refused(field: str) -> None:
    with pytest.raises(ListenEdgeError, match=f"events: {field} 0: expected above 0"):
        Retention(**{field: 0.0})


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one clip, a link, a folder and a pipe; a secret beside it."""
    folder = tmp_path_factory.mktemp("clips") / "clips"
    (folder / "folder").mkdir(parents=True)
    (folder / "a.flac").touch()
    (folder.parent / "secret").touch()
    (folder / "link.flac").symlink_to(folder.parent / "secret")
    (folder / "inside.flac").symlink_to(folder / "a.flac")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize(
    "name",
    ["../secret", "..", ".", "", None, "folder", "folder/../a.flac", "link.flac", "inside.flac",
     "pipe", "a.flac\0", "a.flac/", "gone.flac", "..\\secret", "/etc/passwd", "x" * 5000],
)  # fmt: skip
def test_a_clip_name_leads_nowhere_else(clips: Path, name: str | None) -> None:
    assert clip_path(clips, name) is None
    assert clip_path(clips, str(clips / "a.flac")) is None


@given(st.text(st.sampled_from("./\\\0a.flacsecret~\ud800é")))
def test_no_name_leaves_the_folder_of_clips(clips: Path, name: str) -> None:
    found = clip_path(clips, name)
    assert found is None or found == clips / "a.flac"
    assert clip_path(clips, "a.flac") == clips / "a.flac" and clip_path(None, "a.flac") is None


def test_a_removed_event_takes_no_file_of_others_along(path: Path) -> None:
    clips = path.parent / "clips"
    clips.mkdir(parents=True)
    secret = path.parent / "secret"
    secret.touch()
    (clips / "link.flac").symlink_to(secret)
    with Store(path, clips, Retention(keep_days=1), clock=lambda: BEGAN + timedelta(9)) as store:
        for name in ("../secret", "link.flac"):
            end(store, begin(store, clip=name))
        store._database.change("UPDATE events SET clip = '../secret' WHERE id = 1")
        assert store.tidy().n_events == 2
    assert secret.exists() and (clips / "link.flac").is_symlink()
