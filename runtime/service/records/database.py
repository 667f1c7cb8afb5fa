"""The store's file: one connection that writes, one that reads beside it, and what is unwritten."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from listen_edge.errors import one_line
from listen_edge.runtime.service.records.schema import (
    StoreError,
    connect,
    open_database,
    open_reader,
    unusable,
)
from listen_edge.runtime.service.records.unwritten import Unwritten

Result = TypeVar("Result")

RETRY_S = 1.0  # after a failed write, before the next try
TELL_S = 60.0  # between two words about the same trouble


class Database:
    """Writes what is unwritten, whole or not at all, and reads what is written.

    Args:
        path: see Store.
        is_reader: never write.

    Attributes:
        writing: held by whoever changes `unwritten`, `last_id` or `last_seq`, and writes.
        last_id, last_seq: of events and of what is owed, the highest that were ever given.

    Raises:
        StoreError: see Store.
    """

    def __init__(self, path: Path, *, is_reader: bool) -> None:
        self.path, self.is_reader = path, is_reader
        self.writing, self._reading = threading.Lock(), threading.Lock()
        self._syncing = threading.Lock()
        self.unwritten = Unwritten()
        self.last_id = self.last_seq = self._synced_seq = 0
        self._problem: StoreError | None = None
        self._n_lost, self._retry_at, self._told_at = 0, 0.0, -TELL_S
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._lock_file = None if is_reader else _locked(path)
        try:
            if not is_reader:
                self._writer, counters = open_database(path)
                self.last_id, self.last_seq = counters["event"], counters["seq"]
            self._reader = open_reader(path)
        except BaseException:
            self._release()
            raise

    @property
    def problem(self) -> StoreError | None:
        """Why nothing can be written now; None: all is written."""
        with self.writing:
            return self._problem

    def take_problem(self) -> StoreError | None:
        """Return the problem, at most once in TELL_S."""
        with self.writing:
            now = time.monotonic()
            if self._problem is None or now - self._told_at < TELL_S:
                return None
            self._told_at = now
            return self._problem

    def write(self, *, at_once: bool = False) -> bool:
        """Write what is unwritten, with `writing` held; return whether nothing is left.

        Args:
            at_once: even if the last try has just failed.
        """
        if not self.unwritten:
            return True
        if self._writer is None or (time.monotonic() < self._retry_at and not at_once):
            self._n_lost += self.unwritten.bound()
            return False
        try:
            self.unwritten.write(self._writer, self.last_id, self.last_seq)
        except sqlite3.Error as err:
            self._n_lost += self.unwritten.bound()
            self._failed(err)
            return False
        self.unwritten = Unwritten()
        self._problem, self._n_lost = None, 0
        return True

    def change(self, sql: str, arguments: Sequence[Any] = ()) -> int:
        """Run one statement in a transaction of its own; return how many rows it changed.

        Raises:
            sqlite3.Error: it changed nothing.
        """
        with self.writing:
            assert self._writer is not None
            return self._writer.execute(sql, arguments).rowcount

    def read(self, sql: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows that are written.

        Raises:
            StoreError: the file cannot be read.
        """
        with self._reading:
            if self._reader is None:
                raise StoreError(f"{self.path}: the store is closed")
            try:
                return self._reader.execute(sql, arguments).fetchall()
            except (OverflowError, UnicodeEncodeError):
                return []  # what the file cannot hold is in no row of it
            except sqlite3.Error as err:
                raise unusable(self.path, err) from err

    def sync(self, seq: int) -> None:
        """Make sure that what was written up to this delivery survives a power cut.

        The log is flushed, which no one who writes waits for. What is unwritten stays so.
        """
        if seq <= self._synced_seq or self.is_reader:
            return
        # One output syncs for all; a disk that fails tells so when it is written to.
        with self._syncing, suppress(OSError):
            if seq <= self._synced_seq:
                return
            log = os.open(f"{self.path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(log)
            finally:
                os.close(log)
            self._synced_seq = seq

    def upkeep(self, work: Callable[[], Result], otherwise: Result) -> Result:
        """Write what is unwritten, do this, and give its space back to the disk.

        Returns:
            What the work returns, or the other if the file could not be read or changed.
        """
        with self.writing:
            self.write(at_once=True)
        try:
            result = work()
            with self.writing:
                assert self._writer is not None
                self._writer.execute("PRAGMA incremental_vacuum").fetchall()
            self._checkpoint()
        except (sqlite3.Error, StoreError) as err:
            with self.writing:
                self._failed(err)
            return otherwise
        with self.writing:
            if not self.unwritten:
                self._problem = None
        return result

    def close(self) -> None:
        """Write what is unwritten, if that is possible, and close; again does nothing."""
        with self.writing, self._reading:
            self.write(at_once=True)
            self._release()

    def _checkpoint(self) -> None:
        """Move the log into the database, on a connection that nobody who writes waits for."""
        connection = connect(self.path, "rw")
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            connection.close()

    def _failed(self, err: Exception) -> None:
        self._retry_at = time.monotonic() + RETRY_S
        lost = f", {self._n_lost} are lost" if self._n_lost else ""
        self._problem = StoreError(
            f"{self.path}: cannot be written to ({one_line(err)}); {len(self.unwritten.events)} "
            f"events wait in memory{lost}; free some space there"
        )

    def _release(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
        self._reader = self._writer = self._lock_file = None


def _locked(path: Path) -> int:
    """Return an open file that no other service has locked; it is free again when it is closed.

    Raises:
        StoreError: another service has, or it cannot be made.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise StoreError(f"{path}: not usable as store of events ({err.strerror})") from err
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        os.close(file)
        raise StoreError(
            f"{path}: another listen-edge writes it; stop that one, or give another file "
            "(events: path)"
        ) from err
    return file
