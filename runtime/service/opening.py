"""What the configuration says of a source -> the source itself, and how it is listened to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from listen_edge.bundle.manifest import Manifest
from listen_edge.errors import AudioError
from listen_edge.runtime.hear_config import HearConfig
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.service.config.asked import trigger_of
from listen_edge.runtime.service.config.models import SourceConfig, WatchConfig
from listen_edge.runtime.sources import Block, EndOfStream, Source
from listen_edge.runtime.sources.file import FileSource


def source_of(config: SourceConfig) -> Source:
    """Return the source, not yet opened; its name is its id.

    Raises:
        AudioError: it can never be.
    """
    source = _source(config)
    source.name = config.id
    return source


def listen_config(config: WatchConfig, source: SourceConfig, manifest: Manifest) -> ListenConfig:
    """Return how a source is listened to."""
    return ListenConfig(
        hop_s=config.hop,
        hearing=None if manifest.head is None else HearConfig(),
        trigger=trigger_of(config, source, manifest.events),
        waits_for_device=True,
        clips_dir=config.events.clips,
        checks_pace=False,
    )


def identity(config: WatchConfig, source: SourceConfig) -> tuple[Any, ...]:
    """Return what cannot change while a source is listened to; all else can."""
    where = tuple(getattr(source, kind) for kind in ("device", "url", "file", "satellite"))
    return (source.id, *where, config.hop, config.events.clips)


class _Repeated(FileSource):
    """A recording in real time, over and over: one that tries a service should not end it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, is_realtime=True)

    def read(self, timeout_s: float) -> Block | None:
        try:
            return super().read(timeout_s)
        except EndOfStream:
            if self._n_read == 0:
                raise AudioError(f"{self.name}: holds no sound") from None
            self.close()
            self.open()
            return None


def _source(config: SourceConfig) -> Source:
    if config.file is not None:
        return _Repeated(config.file)
    if config.url is not None:
        from listen_edge.runtime.sources.ffmpeg import FfmpegSource

        return FfmpegSource(config.url.get_secret_value())
    if config.satellite is not None:
        from listen_edge.runtime.service.satellites import SatelliteSource

        return SatelliteSource(config.satellite)
    from listen_edge.runtime.sources.microphone import MicrophoneSource

    return MicrophoneSource(config.microphone)
