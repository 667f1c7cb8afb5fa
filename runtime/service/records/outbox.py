"""What each output is still owed: every phase of every event, in order, from a place of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from listen_edge.lines.event import Phase
from listen_edge.runtime.service.records.database import Database
from listen_edge.runtime.service.records.types import Delivery, StoredEvent
from listen_edge.runtime.service.records.unwritten import COLUMNS, OWED, delivery_of, to_us

_N_NEWEST = 64  # deliveries that outputs which keep up are given without a look into the file


class Outbox:
    """Deliveries, and how far each output is. Methods are those of Store.

    Args:
        clock: current time, aware.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock
        self._places: dict[str, int] = {}  # by output; nobody else moves them in the file
        self._newest: deque[Delivery] = deque(maxlen=_N_NEWEST)  # without a gap, the latest last

    def owe(self, event: StoredEvent, phase: Phase) -> None:
        """Owe a phase of an event to all; `writing` is held, and the caller writes."""
        database = self._database
        database.last_seq += 1
        delivery = Delivery(database.last_seq, phase, event)
        database.unwritten.outbox.append((delivery, to_us(self._clock())))
        self._newest.append(delivery)

    def forget(self) -> None:
        """Read again what is owed: events have changed or gone since."""
        self._newest.clear()

    def pending(self, output: str, limit: int) -> list[Delivery]:
        done = self._done(output)
        if done >= self._database.last_seq:
            return []
        newest = [one for one in self._newest.copy() if one.seq > done]
        # What is unwritten must not count as synced.
        if newest and newest[0].seq == done + 1 and not self._database.unwritten.outbox:
            self._database.sync(newest[-1].seq)
            return newest[:limit]
        waiting = {one.seq: one for one, _ in self._waiting(done)}  # before what is written
        rows = self._database.read(
            f"SELECT {OWED}, {COLUMNS} FROM outbox JOIN events ON events.id = outbox.event "
            "WHERE seq > ? ORDER BY seq LIMIT ?",
            (done, limit),
        )
        if rows:
            self._database.sync(rows[-1][0])
        owed = waiting | {row[0]: delivery_of(row) for row in rows}
        return [owed[seq] for seq in sorted(owed)[:limit]]

    def n_pending(self, output: str) -> int:
        done = self._done(output)
        waiting = {one.seq for one, _ in self._waiting(done)}  # before what is written
        rows = self._database.read(
            "SELECT seq FROM outbox JOIN events ON events.id = outbox.event WHERE seq > ?", (done,)
        )
        return len(waiting.union(seq for (seq,) in rows))

    def delivered(self, output: str, seq: int) -> None:
        with self._database.writing:
            outputs = self._database.unwritten.outputs
            outputs[output] = max(seq, outputs.get(output, 0))
            self._places[output] = max(seq, self._places.get(output, 0))
            self._database.write()

    def skip_older(self, output: str, age_s: float, n: int) -> int:
        done = self._done(output)
        waiting = {one.seq: owed_at for one, owed_at in self._waiting(done)}
        rows = self._database.read("SELECT seq, owed_at FROM outbox WHERE seq > ?", (done,))
        owed = sorted((waiting | dict(rows)).items())
        before = to_us(self._clock() - timedelta(seconds=age_s))
        n_old = next((k for k, (_, owed_at) in enumerate(owed) if owed_at >= before), len(owed))
        n_given_up = max(n_old, len(owed) - n)
        if n_given_up > 0:
            self.delivered(output, owed[n_given_up - 1][0])
        return max(0, n_given_up)

    def _waiting(self, done: int) -> list[tuple[Delivery, int]]:
        """Return what is owed and not written."""
        return [owed for owed in list(self._database.unwritten.outbox) if owed[0].seq > done]

    def _done(self, output: str) -> int:
        """Return the last delivery that an output has; what was before a new one is not its."""
        if (place := self._places.get(output)) is not None:
            return place
        rows = self._database.read("SELECT seq FROM outputs WHERE name = ?", (output,))
        with self._database.writing:
            outputs = self._database.unwritten.outputs
            done: int = max(outputs.get(output, 0), rows[0][0] if rows else 0)
            if not rows and output not in outputs:
                done = outputs[output] = self._database.last_seq
                self._database.write()
            self._places[output] = done
            return done
