"""Rooms that a test can make loud, and a service that listens to them: quick, without a model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from listen_edge.errors import AudioError
from listen_edge.runtime.service.config.models import SourceConfig, WatchConfig
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.sources import Block
from tests.streams import RATE, LevelEngine

WAIT_S = 10.0
HOP_S = 0.1


def wait_for(is_so: Callable[[], Any], what: str = "it") -> Any:
    """Wait until something is so, and return what it is."""
    deadline_s = time.monotonic() + WAIT_S
    while not (found := is_so()):
        assert time.monotonic() < deadline_s, f"{what} never came"
        time.sleep(0.005)
    return found


class RoomEngine(LevelEngine):
    """Hears as LevelEngine does, in windows of 0.2 s."""

    window_s, hop_s = 0.2, HOP_S
    backend, n_threads = "cpu", 1
    bundle = SimpleNamespace(
        id="fake@sha256:00000000",
        require_head=lambda: None,
        manifest=SimpleNamespace(
            events=None,
            head=None,
            calibration=SimpleNamespace(covers=lambda concept: concept == "siren"),
        ),
    )


class Room:
    """A live source whose level a test sets: the presence that RoomEngine hears.

    Attributes:
        level: of its sound; None: it delivers nothing.
        fault: what reading raises, None: nothing.
        n_opened, is_open: what was done to it.
        told: questions of which it was told that they were heard here.
    """

    is_live = True

    def __init__(self, name: str = "room") -> None:
        self.name, self.level = name, 0.1
        self.fault: Exception | None = None
        self.n_opened, self.is_open = 0, False
        self.told: list[str] = []
        self._due_s = 0.0

    def open(self) -> None:
        self.n_opened += 1
        self.is_open = True
        self._due_s = time.monotonic()

    def read(self, timeout_s: float) -> Block | None:
        if self.fault is not None:
            raise self.fault
        now_s = time.monotonic()
        if self.level is None or now_s + timeout_s < self._due_s:
            time.sleep(timeout_s)
            return None
        time.sleep(max(0.0, self._due_s - now_s))
        self._due_s += HOP_S / 2
        n_samples = round(RATE * HOP_S / 2)
        return Block(np.full((n_samples, 1), self.level, np.float32), RATE, time.monotonic())

    def detected(self, question: str) -> None:
        self.told.append(question)

    def close(self) -> None:
        self.is_open = False


class Wall:
    """The clock on the wall, which a test may set."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(timezone.utc) + self.ahead


class House:
    """A service on rooms.

    Args:
        folder: of its database.
        config: keys of listen.yaml, beside those of quick events.
    """

    def __init__(self, folder: Path, **config: Any) -> None:
        self.folder, self.rooms, self.wall = folder, dict[str, Room](), Wall()
        self.n_rooms_made = 0
        self.engine = RoomEngine()
        self.config = self.configured(**config)
        self.service: Service

    def configured(self, **config: Any) -> WatchConfig:
        """Return a configuration of this house."""
        quick = {"on": 0.7, "off": 0.5, "confirm": (1, 1), "end_after": 0.15, "cooldown": 0.0}
        defaults = quick | config.pop("defaults", {})
        given = {
            "sources": [{"id": "kitchen", "device": "default"}],
            "questions": ["siren?"],
            "events": {"path": str(self.folder / "events.db")},
            "outputs": {"lines": None},
            "defaults": defaults,
        }
        return WatchConfig.model_validate(given | config)

    def room(self, config: SourceConfig) -> Room:
        """Return a new source for a station, in place of a microphone."""
        self.n_rooms_made += 1
        old = self.rooms.get(config.id)
        self.rooms[config.id] = room = Room(config.id)
        if old is not None:
            room.level, room.fault = old.level, old.fault
        return room

    def open(self) -> Service:
        """Return a service, not yet started."""
        self.service = Service(
            self.config,
            engine=self.engine,  # type: ignore[arg-type]
            clock=self.wall,
        )
        return self.service

    def events(self, **wanted: Any) -> list[Any]:
        """Return events, the oldest first."""
        return self.service.store.events(limit=1000, **wanted)[::-1]

    def state(self, source: str = "kitchen") -> str:
        return next(one.state for one in self.service.sources() if one.id == source)

    def reasons(self) -> set[str | None]:
        return {sounding.reason for sounding in self.service.soundings()}


@contextmanager
def house(folder: Path, monkeypatch: pytest.MonkeyPatch, **config: Any) -> Iterator[House]:
    """Give a house whose service runs, and hears."""
    made = House(folder, **config)
    monkeypatch.setattr("listen_edge.runtime.service.stations.source_of", made.room)
    with made.open() as service:
        wait_for(lambda: all(one.heard_at for one in service.sources()), "a window")
        yield made


def gone() -> AudioError:
    return AudioError("unplugged")


def service_threads() -> list[str]:
    """Return the names of the threads that are not the test's own."""
    return sorted(t.name for t in threading.enumerate() if t is not threading.main_thread())
