"""A process that writes events and delivers them is killed at random moments, again and again.

Run as `python -m tests.killed_store FOLDER ROUNDS SEED`; prints what was found as JSON. One process
forks the writers, so that a round costs no start of Python.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from listen_edge.runtime.service.records.store import Store
from tests.stored import BEGAN, begin

OUTPUT = "mqtt"
_MAX_START_S = 20.0


def write_until_killed(path: Path, log: int, seed: int) -> NoReturn:
    """Begin, continue, end and deliver; every third event stays open. Logs what has returned."""
    rng = random.Random(seed)
    store = Store(path, None)
    store.close_open()
    while True:
        event = begin(store, source=f"s{rng.randrange(3)}")
        os.write(log, f"begun {event.uid}\n".encode())
        store.add_presence(event.source, event.question, BEGAN, rng.random())
        store.go_on(event.id, duration_s=1.0, peak_presence=0.97)
        if event.id % 3:
            ended_at = BEGAN + timedelta(seconds=9)
            store.end(
                event.id, ended_at=ended_at, duration_s=4.0, peak_presence=0.98, reason="not_heard"
            )
        for delivery in store.pending(OUTPUT, limit=rng.randrange(1, 6)):
            line = f"delivered {delivery.seq} {delivery.event.uid} {delivery.phase}\n"
            os.write(log, line.encode())
            store.delivered(OUTPUT, delivery.seq)


def kill_a_writer(path: Path, log_path: Path, rng: random.Random) -> None:
    """Kill a writer some milliseconds after it was made or, every other time, had begun."""
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    size, seed = os.fstat(log).st_size, rng.randrange(1 << 30)
    writer = os.fork()
    if writer == 0:
        write_until_killed(path, log, seed)
    deadline = time.monotonic() + _MAX_START_S * rng.randrange(2)
    while os.fstat(log).st_size == size and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.03))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    os.write(log, b"killed\n")
    os.close(log)


def look(path: Path) -> tuple[str, int, int]:
    """Return SQLite's verdict, how many events the start ended, and how many it would again."""
    with closing(sqlite3.connect(path)) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    with Store(path, None) as store:
        return verdict, len(store.close_open()), len(store.close_open())


def main() -> None:
    folder, n_rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    path, log_path, rng = folder / "events.db", folder / "log", random.Random(seed)
    with Store(path, None) as store:
        store.pending(OUTPUT)
    found = []
    for _ in range(n_rounds):
        kill_a_writer(path, log_path, rng)
        found.append(look(path))
    with Store(path, None) as store:
        left = store.pending(OUTPUT, limit=1 << 20)
        events = store.events(limit=1 << 20)
    told = {
        "found": found,
        "log": log_path.read_text().splitlines(),
        "left": [(one.seq, one.event.uid, one.phase) for one in left],
        "events": [(e.id, e.uid, e.ended_at is not None, e.reason) for e in events],
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
