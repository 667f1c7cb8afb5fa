"""What listen.yaml may say. The keys are the long options' words; docs/service.md has the table.

Frozen, and a key that is not here is an error. A value that is None where a bundle has its own is
the bundle's. Secrets are SecretStr: no repr, error or log shows them.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from listen_edge.runtime.service.config.asked import asking_problems
from listen_edge.runtime.service.config.base import Model, twice_named
from listen_edge.runtime.service.config.fields import (
    Address,
    Bundle,
    FilePath,
    Place,
    Words,
    Zone,
    address,
)
from listen_edge.runtime.service.config.listening import (
    Preset,
    QuestionConfig,
    SharedQuestionConfig,
    SourceConfig,
    TriggerDefaults,
)
from listen_edge.runtime.service.config.telling import (
    CommandConfig,
    LinesConfig,
    MqttConfig,
    OutputsConfig,
    WebhookConfig,
)

__all__ = [
    "CommandConfig",
    "EventsConfig",
    "LinesConfig",
    "MqttConfig",
    "OutputsConfig",
    "QuestionConfig",
    "SharedQuestionConfig",
    "SourceConfig",
    "TriggerDefaults",
    "WakeConfig",
    "WatchConfig",
    "WebConfig",
    "WebhookConfig",
]


class EventsConfig(Model):
    """What is kept of events."""

    path: FilePath = Field(
        default_factory=lambda: state_dir() / "events.db", description="database of events"
    )
    clips: FilePath | None = Field(
        default=None, description="folder for the sound of events; none is kept if not given"
    )
    keep_days: float = Field(default=30, gt=0, le=36_500, description="days that events are kept")
    keep_mb: float = Field(
        default=2000, ge=10, le=10_000_000, description="MB that database and clips take"
    )


class _ServerConfig(Model):
    """Where others may connect."""

    listen: Address

    @property
    def host(self) -> str:
        return address(self.listen)[0]

    @property
    def port(self) -> int:
        return address(self.listen)[1]

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return _is_loopback(self.host)


class WebConfig(_ServerConfig):
    """HTTP: answers, events, live state, metrics and the page."""

    listen: Address = Field(
        default="127.0.0.1:8765", description="HOST:PORT; port 0 takes a free one"
    )
    token: SecretStr | None = Field(
        default=None, min_length=16, description="that clients must show; required beyond loopback"
    )
    token_file: FilePath | None = Field(default=None, description="file that holds the token")
    hosts: tuple[Words, ...] = Field(
        default=(), max_length=32, description="further names under which it may be asked for"
    )
    upload_mb: float = Field(default=25, gt=0, le=1000, description="MB that an upload may have")
    upload_minutes: float = Field(
        default=10, gt=0, le=600, description="minutes of sound in an upload"
    )

    def problems(self) -> list[tuple[Place, str]]:
        if not self.is_loopback and self.token is None:
            return [(("listen",), "is not loopback: others can reach it; set token_file")]
        return []


class WakeConfig(_ServerConfig):
    """Questions as Home Assistant's wake words; the protocol knows no password."""

    listen: Address = Field(
        default="127.0.0.1:10400", description="HOST:PORT, loopback alone; port 0 takes a free one"
    )

    def problems(self) -> list[tuple[Place, str]]:
        if not self.is_loopback:
            return [(("listen",), "is not loopback: there is no password; give 127.0.0.1:PORT")]
        return []


class WatchConfig(Model):
    """All of listen.yaml."""

    bundle: Bundle = Field(default="tiny", description="embedded bundle's name, or a folder")
    backend: Literal["auto", "cpu", "cuda", "tensorrt"] = Field(
        default="auto", description="of compute"
    )
    llm: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="ask the LLM where the head suspects a sound, about every window, never",
    )
    threads: int | None = Field(
        default=None, ge=1, le=256, description="CPU threads; all it may use"
    )
    hop: float | None = Field(
        default=None,
        ge=0.1,
        le=60,
        description="seconds between windows; the bundle's if not given",
    )
    timezone: Zone | None = Field(
        default=None, description="of quiet hours; the system's if not given"
    )
    first_minutes: float = Field(
        default=10, ge=0, le=1440, description="minutes after the start that say what is heard most"
    )
    defaults: TriggerDefaults = Field(
        default_factory=TriggerDefaults, description="of all questions"
    )
    presets: tuple[Preset, ...] = Field(
        default=(), description="sets of questions asked of every source"
    )
    sources: tuple[SourceConfig, ...] = Field(
        min_length=1, max_length=64, description="what is listened to"
    )
    questions: tuple[SharedQuestionConfig, ...] = Field(
        default=(), max_length=256, description="asked of every source, or of those they name"
    )
    events: EventsConfig = Field(default_factory=EventsConfig, description="what is kept")
    outputs: OutputsConfig = Field(default_factory=OutputsConfig, description="who is told")
    web: WebConfig | None = Field(default=None, description="HTTP; none if not given")
    wake: WakeConfig | None = Field(
        default=None, description="questions as wake words; none if not given"
    )

    def problems(self) -> list[tuple[Place, str]]:
        ids = [source.id for source in self.sources]
        found = twice_named("sources", ids)
        for k, question in enumerate(self.questions):
            for n, source in enumerate(question.sources or ()):
                if source not in ids:
                    text = f'there is no source "{source}"; there are {", ".join(ids)}'
                    found.append((("questions", k, "sources", n), text))
        return found or asking_problems(self)


def state_dir() -> Path:
    """Return the folder for what is kept: the service manager's, or the user's."""
    if given := os.environ.get("STATE_DIRECTORY"):  # systemd's, may hold several
        return Path(given.partition(":")[0])
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "listen-edge"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
