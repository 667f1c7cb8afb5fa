"""The sources of a service, a station each: begun, replaced where they changed, stopped."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime
from typing import Any

from listen_edge.runtime.service.config.models import WatchConfig
from listen_edge.runtime.service.opening import identity, listen_config, source_of
from listen_edge.runtime.service.questions import Questions
from listen_edge.runtime.service.records.types import Sounding, SourceStatus
from listen_edge.runtime.service.station import Station, Surroundings

_CLOSE_S = 3.0  # for sources that are replaced; one that hangs longer is left behind


class Stations:
    """All stations; changes are for one thread at a time, looks for any.

    Args:
        around: see Station.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._stations: dict[str, Station] = {}
        self._identities: dict[str, tuple[Any, ...]] = {}

    def follow(
        self, config: WatchConfig, questions: Questions, muted: Collection[str], now: datetime
    ) -> None:
        """Listen as a configuration says; a source that did not change is not closed.

        Raises:
            ListenEdgeError: it cannot be; all goes on as before.
        """
        manifest = self._around.shared.engine.bundle.manifest
        identities = {source.id: identity(config, source) for source in config.sources}
        stays = {key for key in self._stations if identities.get(key) == self._identities[key]}
        stations = {
            source.id: self._stations[source.id]
            if source.id in stays
            else Station(
                source_of(source),
                source.name,
                questions.at(source.id, now),
                listen_config(config, source, manifest),
                self._around,
                is_muted=source.id in muted,
            )
            for source in config.sources
        }
        self._end([one for key, one in self._stations.items() if key not in stays], _CLOSE_S)
        self._stations, self._identities = stations, identities
        for source in config.sources:
            station = stations[source.id]
            if source.id in stays:
                station.name = source.name
            else:
                station.start()
        self.ask(questions, now)

    def ask(self, questions: Questions, now: datetime) -> None:
        """Ask what is in force now, from the next windows on."""
        for key, station in self._stations.items():
            station.ask(questions.at(key, now))

    def mute(self, source: str) -> None:
        """Close a source."""
        self._stations[source].mute()

    def unmute(self, source: str) -> None:
        """Open it again."""
        self._stations[source].unmute()

    def stop(self, timeout_s: float) -> bool:
        """End all; return whether all have ended in time."""
        return self._end(list(self._stations.values()), timeout_s)

    def status(self) -> list[SourceStatus]:
        """Return how each source does."""
        return [station.status() for station in self._stations.values()]

    def soundings(self) -> list[Sounding]:
        """Return the newest answers of all."""
        return [one for station in self._stations.values() for one in station.soundings]

    def not_ready(self) -> list[str]:
        """Return why those that were not heard in time were not."""
        reasons = (station.why_not_ready() for station in self._stations.values())
        return [reason for reason in reasons if reason is not None]

    def late(self) -> list[str]:
        """Return the ids of those where not even an unknown was answered in time."""
        return [key for key, station in self._stations.items() if station.is_late()]

    def _end(self, stations: list[Station], timeout_s: float) -> bool:
        until_s = time.monotonic() + timeout_s
        for station in stations:
            station.stop()
        ended = [station.join(max(0.0, until_s - time.monotonic())) for station in stations]
        for station in stations:
            self._around.shared.forget(station.id)
        return all(ended)
