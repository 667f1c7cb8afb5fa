"""The database's tables, who may read it, and how an older one becomes today's.

Times are whole microseconds of Unix time, so that they come back as they went in. `user_version` is
the schema, `application_id` tells our files from other programs'.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from listen_edge.errors import ListenEdgeError, one_line

APPLICATION_ID = 0x4C45_4456  # "LEDV": listen-edge events
# How long a thread waits for another process that writes. Not long: the listening thread may be it.
BUSY_S = 0.25
LOG_BYTES = 4 << 20  # of the write-ahead log, once it is moved into the database

# MIGRATIONS[n] turns schema n into n + 1; an empty file is schema 0. Never change one that shipped.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        uid TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        question TEXT NOT NULL,
        ask TEXT NOT NULL,
        concept TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        ended_at INTEGER,
        duration_s REAL NOT NULL,
        peak_presence REAL NOT NULL,
        level_dbfs REAL,
        "on" REAL NOT NULL,
        off REAL NOT NULL,
        bundle TEXT NOT NULL,
        clip TEXT,
        reason TEXT,
        acknowledged_at INTEGER,
        verdict TEXT CHECK (verdict IN ('right', 'false_alarm')),
        note TEXT NOT NULL,
        is_test INTEGER NOT NULL
    );
    CREATE INDEX events_open ON events (id) WHERE ended_at IS NULL;
    CREATE INDEX events_judged ON events (id) WHERE verdict IS NOT NULL;
    CREATE INDEX events_series ON events (source, question, started_at);
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY,
        phase TEXT NOT NULL CHECK (phase IN ('start', 'update', 'end')),
        event INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
        owed_at INTEGER NOT NULL,
        ended_at INTEGER,
        duration_s REAL NOT NULL,
        peak_presence REAL NOT NULL,
        reason TEXT,
        UNIQUE (event, seq)
    );
    CREATE TABLE outputs (name TEXT PRIMARY KEY, seq INTEGER NOT NULL);
    CREATE TABLE counters (name TEXT PRIMARY KEY, last INTEGER NOT NULL);
    INSERT INTO counters VALUES ('event', 0), ('seq', 0);
    CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        question TEXT NOT NULL,
        UNIQUE (source, question)
    );
    CREATE TABLE presence (
        id INTEGER PRIMARY KEY,
        series INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
        since INTEGER NOT NULL,
        until INTEGER NOT NULL,
        curve BLOB NOT NULL
    );
    CREATE INDEX presence_until ON presence (series, until);
    """,
)


class StoreError(ListenEdgeError):
    """The store of events cannot be opened or read, or what is asked for is not in it."""


def open_database(path: Path) -> tuple[sqlite3.Connection, dict[str, int]]:
    """Return a connection that writes to a database of today's schema, made if there is none.

    With it come the highest numbers that were ever given, by counter: "event", "seq".

    Its files are its owner's alone (0600). Commits survive a killed process; whoever must be sure
    that they survive a power cut syncs the log himself, see Store.pending.

    Raises:
        StoreError: not a database of ours, a newer one, damaged, or it cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # else never: to close a file drops the locks SQLite has on it
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        with closing(connect(path, "ro&immutable=1")) as glance:
            _check(glance, path)  # what is not ours stays as it is
        path.chmod(0o600)  # SQLite gives its log the same
        connection = connect(path, "rw")
        try:
            _check(connection, path)
            _migrate(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            connection.execute("PRAGMA foreign_keys = ON")
            return connection, dict(connection.execute("SELECT name, last FROM counters"))
        except BaseException:
            connection.close()
            raise
    except (OSError, sqlite3.Error) as err:
        raise unusable(path, err) from err


def open_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that reads a database of today's schema, beside whoever writes it.

    Raises:
        StoreError: there is none, or as for open_database.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such file; `listen-edge watch` makes it (events: path)")
    try:
        connection = connect(path, "rw" if os.access(path, os.W_OK) else "ro")
        try:
            if _check(connection, path) != len(MIGRATIONS):
                raise StoreError(
                    f"{path}: of an older listen-edge; `listen-edge watch` brings it up to date"
                )
            connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    except (OSError, sqlite3.Error) as err:
        raise unusable(path, err) from err
    return connection


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open without ever making a file; transactions are ours to begin."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )


def _check(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema; refuse what is not ours or of a later schema than we know."""
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    (made_by,) = connection.execute("PRAGMA application_id").fetchone()
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if made_by != APPLICATION_ID and (n_tables or schema):
        raise StoreError(f"{path}: another program's database; give another file (events: path)")
    if schema > len(MIGRATIONS):
        raise StoreError(
            f"{path}: schema {schema} of a newer listen-edge, this one knows up to "
            f"{len(MIGRATIONS)}; upgrade listen-edge, or give another file (events: path)"
        )
    return int(schema)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring an older database up to date, each step wholly or not at all."""
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if schema == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table
    elif schema < len(MIGRATIONS):
        _back_up(connection, path.with_name(f"{path.name}.schema{schema}"))
    for n in range(schema, len(MIGRATIONS)):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE; {MIGRATIONS[n]}; PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {n + 1}; COMMIT;"
            )
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _back_up(connection: sqlite3.Connection, copy: Path) -> None:
    """Keep the database as it is beside it, before an upgrade changes it."""
    copy.unlink(missing_ok=True)
    os.close(os.open(copy, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(copy)) as target:
        connection.backup(target)


def unusable(path: Path, err: Exception) -> StoreError:
    """Return what SQLite or the system says of a file as one line with its remedy."""
    said = str(err)
    if "malformed" in said or "not a database" in said:
        remedy = "move it away, and its -wal and -shm"
    elif "full" in said or "I/O" in said:
        remedy = "free some space there"
    else:
        remedy = "give a file that we may write"
    return StoreError(f"{path}: not usable as store of events ({one_line(err)}); {remedy}")
