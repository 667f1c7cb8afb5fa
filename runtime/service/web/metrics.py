"""Figures for Prometheus, read when they are asked for. Labels are ids: words never become one."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from listen_edge import __version__
from listen_edge.runtime.service.records.types import StationState
from listen_edge.runtime.service.service import Service

_STATES: tuple[StationState, ...] = (
    *("starting", "healthy", "alarmed", "recovering", "failed", "muted"),
)
_PAGE, _MAX_PAGES = 200, 50


class Metrics:
    """All figures of a service, in a registry of its own."""

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(service))

    def text(self) -> bytes:
        """Return them in Prometheus' text format."""
        return generate_latest(self._registry)


class _Collector:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._events = _EventCount(service)

    def describe(self) -> list[Metric]:
        return []  # the names are known when they are collected

    def collect(self) -> Iterator[Metric]:
        yield from self._of_sources()
        yield from self._of_questions()
        yield from self._of_outputs()
        yield from self._of_the_process()

    def _of_sources(self) -> Iterator[Metric]:
        counters = {
            "windows": ("windows answered", "n_windows"),
            "windows_dropped": ("windows skipped to keep up", "n_dropped"),
            "input_overflows": ("times that samples were lost on their way", "n_overflows"),
            "input_reconnects": ("times that a source was opened again", "n_restarts"),
        }
        sources = self._service.sources()
        for name, (what, field) in counters.items():
            counter = CounterMetricFamily(f"listen_edge_{name}", what, labels=["source"])
            for source in sources:
                counter.add_metric([source.id], getattr(source, field))
            yield counter
        lag = _gauge("audio_lag_seconds", "from a window's end to its answer", "source")
        level = _gauge("level_dbfs", "of the last window; none for digital silence", "source")
        state = _gauge("source_state", "1 for the state it is in", "source", "state")
        for source in sources:
            lag.add_metric([source.id], source.lag_s)
            if source.level_dbfs is not None:
                level.add_metric([source.id], source.level_dbfs)
            for one in _STATES:
                state.add_metric([source.id, one], float(source.state == one))
        yield from (lag, level, state)

    def _of_questions(self) -> Iterator[Metric]:
        labels = ("source", "question")
        presence = _gauge("presence", "of the last window; none where nothing was heard", *labels)
        sounding = _gauge("sounding", "whether an event goes on", *labels)
        for one in self._service.soundings():
            sounding.add_metric([one.source, one.question], float(one.is_sounding))
            if one.presence is not None:
                presence.add_metric([one.source, one.question], one.presence)
        events = CounterMetricFamily(
            "listen_edge_events", "events since the service started", labels=labels
        )
        for (source, question), n_events in self._events.up_to_now().items():
            events.add_metric([source, question], n_events)
        yield from (presence, sounding, events)

    def _of_outputs(self) -> Iterator[Metric]:
        counts: dict[str, GaugeMetricFamily] = {}
        for output in self._service.outputs():
            for key, value in output.items():
                if key.startswith("n_") and isinstance(value, int):
                    name = f"output_{key.removeprefix('n_')}"
                    gauge = counts.setdefault(key, _gauge(name, "of deliveries", "output"))
                    gauge.add_metric([output["name"]], value)
        yield from counts.values()

    def _of_the_process(self) -> Iterator[Metric]:
        info = self._service.engine_info()
        yield InfoMetricFamily(
            "listen_edge",
            "what runs",
            {
                "version": __version__,
                "bundle": str(info["bundle"]),
                "backend": str(info["backend"]),
            },
        )
        gauges = {
            "engine_waiting": ("windows and uploads that wait for the engine", info["n_waiting"]),
            "engine_busy": ("share of the last minute that the engine worked", info["busy_share"]),
            "rss_bytes": ("memory in use", _rss_bytes()),
            "open_handles": ("files and sockets open", len(list(Path("/proc/self/fd").iterdir()))),
            "threads": ("threads", threading.active_count()),
        }
        for name, (what, value) in gauges.items():
            yield GaugeMetricFamily(f"listen_edge_{name}", what, value)


class _EventCount:
    """Events per source and question since the start; the store is read from where it was last."""

    def __init__(self, service: Service) -> None:
        self._service, self._lock = service, threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._last_id = max((event.id for event in service.store.events(limit=1)), default=0)

    def up_to_now(self) -> dict[tuple[str, str], int]:
        with self._lock:
            newest, before = self._last_id, None
            for _ in range(_MAX_PAGES):
                page = self._service.store.events(before=before, limit=_PAGE)
                fresh = [event for event in page if event.id > self._last_id]
                self._counts.update((event.source, event.question) for event in fresh)
                newest = max([newest, *(event.id for event in fresh)])
                if len(fresh) < _PAGE:
                    break
                before = fresh[-1].id
            self._last_id = newest
            return dict(self._counts)


def _gauge(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"listen_edge_{name}", what, labels=labels)


def _rss_bytes() -> int:
    n_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return n_pages * os.sysconf("SC_PAGE_SIZE")
