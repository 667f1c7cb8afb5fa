"""What is listened to, and for what: sources, questions, thresholds."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator

from listen_edge.errors import QuestionError
from listen_edge.event_settings import MAX_CONFIRM_WINDOWS
from listen_edge.question import parse_concept
from listen_edge.runtime.service.config.base import Model
from listen_edge.runtime.service.config.fields import (
    Address,
    Ask,
    Confirm,
    FilePath,
    Id,
    Place,
    Presence,
    Quiet,
    Words,
    id_of,
)
from listen_edge.runtime.service.records.types import Priority
from listen_edge.urls import is_url

Preset = Literal["safety", "pets", "home", "workshop"]
Kind = Literal["device", "url", "file", "satellite"]
KINDS: tuple[Kind, ...] = ("device", "url", "file", "satellite")


class TriggerDefaults(Model):
    """When presence becomes an event; see listen_edge.runtime.listening.trigger."""

    on: Presence | None = Field(default=None, description="presence that begins an event")
    off: Presence | None = Field(default=None, description="presence that keeps it going")
    confirm: Confirm | None = Field(
        default=None, description="K/N: an event begins when K of the last N windows reach `on`"
    )
    end_after: float | None = Field(
        default=None, gt=0, le=3600, description="seconds below `off` that end an event"
    )
    cooldown: float | None = Field(
        default=None, ge=0, le=86_400, description="seconds without a new event after one"
    )
    long_event: float | None = Field(
        default=None, gt=0, le=86_400, description="seconds after which an event is stationary"
    )

    def problems(self) -> list[tuple[Place, str]]:
        found = _off_above_on(self.on, self.off)
        if self.confirm is not None:
            k, n = self.confirm
            if not 1 <= k <= n <= MAX_CONFIRM_WINDOWS:
                found.append(
                    (("confirm",), f"{k}/{n}: expected 1 <= K <= N <= {MAX_CONFIRM_WINDOWS}")
                )
        if None not in (self.end_after, self.long_event) and self.long_event <= self.end_after:  # type: ignore[operator]
            found.append((("long_event",), "expected more than end_after"))
        return found


class QuestionConfig(Model):
    """A question, or what a source says otherwise of one that is asked of all.

    What is not set is taken from a less special question about the same sound, see asked.py.
    """

    id: Id = Field(
        default="", description="in topics, URLs and file names; made of `ask` if not given"
    )
    ask: Ask = Field(description='the sound, as "siren?" or "is there a siren?"')
    aliases: tuple[Ask, ...] = Field(
        default=(),
        max_length=16,
        description="other words for the same sound: asking those is asking this",
    )
    on: Presence | None = Field(default=None, description="presence that begins an event")
    off: Presence | None = Field(default=None, description="presence that keeps it going")
    priority: Priority = Field(default="normal", description="safety questions are answered first")
    quiet: tuple[Quiet, ...] = Field(
        default=(), max_length=32, description="hours without events, such as 22:00-06:00"
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, raw: Any) -> Any:
        """Take a bare question, and make an id of its concept."""
        if isinstance(raw, str):
            raw = {"ask": raw}
        if isinstance(raw, dict) and "id" not in raw and isinstance(raw.get("ask"), str):
            try:
                made = id_of(parse_concept(raw["ask"]))
            except QuestionError:
                return raw | {"id": "unread"}  # `ask` has an error of its own
            return raw | {"id": made} if made else raw
        return raw

    @cached_property
    def concept(self) -> str:
        """What is asked about, see parse_concept."""
        return parse_concept(self.ask)

    @cached_property
    def concepts(self) -> frozenset[str]:
        """The concept and those of its aliases."""
        return frozenset(map(parse_concept, (self.ask, *self.aliases)))

    def problems(self) -> list[tuple[Place, str]]:
        found = _off_above_on(self.on, self.off)
        if not self.id:
            found.append((("ask",), "has no letter of which an id could be made; give an id"))
        return found


class SharedQuestionConfig(QuestionConfig):
    """A question that several sources are asked."""

    sources: tuple[Id, ...] | None = Field(
        default=None,
        min_length=1,
        description="ids of where it is asked; every source if not given",
    )


class SourceConfig(Model):
    """What is listened to: one of device, url, file and satellite."""

    id: Id = Field(
        default="", description="in topics, URLs and file names; made of `name` if not given"
    )
    name: Words = Field(default="", description="for people; the id if not given")
    device: Words | None = Field(
        default=None,
        description='microphone: its index or a part of its name; "default" is the system\'s',
    )
    url: SecretStr | None = Field(default=None, description="stream, such as rtsp://...")
    url_file: FilePath | None = Field(default=None, description="file that holds the url")
    file: FilePath | None = Field(default=None, description="recording, played in real time")
    satellite: Address | None = Field(default=None, description="HOST:PORT of a Wyoming satellite")
    presets: tuple[Preset, ...] = Field(default=(), description="sets of questions asked here")
    questions: tuple[QuestionConfig, ...] = Field(
        default=(), max_length=256, description="asked here alone, or otherwise than elsewhere"
    )
    defaults: TriggerDefaults = Field(
        default_factory=TriggerDefaults, description="of this source, before those of all"
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, raw: Any) -> Any:
        """Make the id of the name, or the name of the id."""
        if isinstance(raw, dict):
            name, own = raw.get("name"), raw.get("id")
            if own is None and isinstance(name, str) and (made := id_of(name)):
                return {key: value for key, value in raw.items() if key != "id"} | {"id": made}
            if name is None and isinstance(own, str):
                return {key: value for key, value in raw.items() if key != "name"} | {"name": own}
        return raw

    @property
    def kind(self) -> Kind:
        """Which of its keys says what is listened to."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def microphone(self) -> str | None:
        """`device`; None is the system's own."""
        return None if self.device == "default" else self.device

    def problems(self) -> list[tuple[Place, str]]:
        found: list[tuple[Place, str]] = []
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none"
            found.append((tuple(given[-1:]), f"expected one of {', '.join(KINDS)}; found {said}"))
        if self.url is not None and not is_url(self.url.get_secret_value()):
            found.append((("url",), "expected a URL, such as rtsp://HOST/..."))
        if not self.id:
            found.append(((), "has no id; give an id, or a name with letters of a to z"))
        return found


def _off_above_on(on: float | None, off: float | None) -> list[tuple[Place, str]]:
    if on is None or off is None or off <= on:
        return []
    return [(("off",), f"{off:g} is above on, {on:g}; expected 0 < off <= on < 1")]
