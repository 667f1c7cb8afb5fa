"""What is said where on a broker: the topics of one node, and the payloads of its states.

Topics are made of ids alone. Words of people stand in payloads, never in a topic.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache

from listen_edge.printable import escaped
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.records.types import QuestionStatus, Sounding, SourceStatus

ON, OFF, NONE = "ON", "OFF", "None"  # Home Assistant's: None is neither
ONLINE, OFFLINE = "online", "offline"
PRESENCE_STEPS = 20  # of 0.05: a quiet room's presence does not move, so it costs no message

_LEVEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_STATE_LEAVES = re.compile(r"[^/]+/(?:health|available|mute|[^/]+/(?:state|presence))")
_COMMAND_LEAVES = re.compile(r"(?P<source>[^/]+)/mute/set")


@dataclass(frozen=True)
class Topics:
    """The topics of one node.

    Args:
        prefix: first level, the same for all nodes.
        node: id of this device, unique among all on the broker.

    Raises:
        OutputError: an id that is none, here or in any method; lasting.
    """

    prefix: str
    node: str

    def __post_init__(self) -> None:
        _level(self.prefix)
        _level(self.node)

    @property
    def root(self) -> str:
        """What all topics of the node begin with."""
        return f"{self.prefix}/{self.node}"

    @property
    def status(self) -> str:
        """online, or offline: the node's last will."""
        return f"{self.root}/status"

    @property
    def birth(self) -> str:
        """What this node is and runs."""
        return f"{self.root}/birth"

    @property
    def commands(self) -> str:
        """The filter of all that the node obeys."""
        return f"{self.root}/+/mute/set"

    def of_source(self, source: str, leaf: str) -> str:
        """Return .../SOURCE/LEAF."""
        return _path(self.root, source, leaf)

    def of_question(self, source: str, question: str, leaf: str) -> str:
        """Return .../SOURCE/QUESTION/LEAF."""
        return _path(self.root, source, question, leaf)

    def is_state(self, topic: str) -> bool:
        """Return whether a retained topic is one that the node keeps, and may clear."""
        below = topic.removeprefix(f"{self.root}/")
        return below != topic and _STATE_LEAVES.fullmatch(below) is not None

    def is_presence(self, topic: str) -> bool:
        """Return whether a state of the node is a question's presence."""
        return topic.endswith("/presence")

    def commanded_source(self, topic: str) -> str | None:
        """Return the source of a command topic, None where it is none."""
        below = topic.removeprefix(f"{self.root}/")
        found = _COMMAND_LEAVES.fullmatch(below) if below != topic else None
        return found["source"] if found and _LEVEL.fullmatch(found["source"]) else None


def states(
    topics: Topics,
    sources: Sequence[SourceStatus],
    questions: Sequence[QuestionStatus],
    soundings: Sequence[Sounding],
) -> dict[str, str]:
    """Return the retained payload of every topic but health, birth and status.

    What a source does not hear is None whatever was heard of it before: never OFF.
    """
    heard = {(one.source, one.question): one for one in soundings}
    said: dict[str, str] = {}
    for source in sources:
        is_listening = source.state == "healthy"
        for question in asked_of(source.id, questions):
            sounding = heard.get((source.id, question.id)) if is_listening else None
            of = (source.id, question.id)
            said[topics.of_question(*of, "state")] = state_of(sounding, question)
            said[topics.of_question(*of, "presence")] = _presence(sounding)
        said[topics.of_source(source.id, "mute")] = ON if source.state == "muted" else OFF
        said[topics.of_source(source.id, "available")] = ONLINE if is_listening else OFFLINE
    return said


def asked_of(source: str, questions: Sequence[QuestionStatus]) -> list[QuestionStatus]:
    """Return the questions that a source is asked."""
    return [question for question in questions if source in question.sources]


def state_of(sounding: Sounding | None, question: QuestionStatus) -> str:
    """Return ON while an event goes on, OFF where the sound was listened for and is not there.

    None where nobody can tell, and for a sound that is present while its events are silenced.
    """
    if sounding is None:
        return NONE
    if sounding.is_sounding:
        return ON
    if sounding.state == "unknown" or (sounding.state == "present" and question.is_quiet):
        return NONE
    return OFF


def health(source: SourceStatus) -> str:
    """Return the JSON of a source's health."""
    return compact_json(
        {
            "v": 1,
            "source": source.id,
            "name": source.name,
            "state": source.state,
            "message": source.message,
            "since": moment(source.since),
            "heard_at": moment(source.heard_at) if source.heard_at else None,
            "level_dbfs": _rounded(source.level_dbfs, 1),
            "lag_s": _rounded(source.lag_s, 3),
            "n_windows": source.n_windows,
            "n_dropped": source.n_dropped,
            "n_overflows": source.n_overflows,
            "n_restarts": source.n_restarts,
        }
    )


def birth(
    topics: Topics,
    *,
    version: str,
    bundle: str,
    started_at: datetime,
    sources: Sequence[SourceStatus],
    questions: Sequence[QuestionStatus],
) -> str:
    """Return the JSON by which a fleet's owner knows what runs where."""
    return compact_json(
        {
            "v": 1,
            "node": topics.node,
            "version": version,
            "bundle": bundle,
            "started_at": moment(started_at),
            "sources": [source.id for source in sources],
            "questions": [question.id for question in questions],
        }
    )


def moment(time: datetime) -> str:
    """Return a time as all lines write theirs: UTC, to the second."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def compact_json(keys: Mapping[str, object]) -> str:
    """Return JSON without spaces, the same for the same keys."""
    return json.dumps(keys, separators=(",", ":"), allow_nan=False)


@lru_cache(maxsize=4096)
def _path(root: str, *levels: str) -> str:
    """Return a topic; the same hundreds are asked for every second."""
    return "/".join((root, *map(_level, levels)))


def _level(text: str) -> str:
    if not _LEVEL.fullmatch(text):
        raise OutputError(
            f"{escaped(text)[:80]!r} cannot be part of a topic; expected a-z, 0-9, '-' and '_'",
            is_lasting=True,
        )
    return text


def _presence(sounding: Sounding | None) -> str:
    if sounding is None or sounding.presence is None:
        return NONE
    return f"{round(sounding.presence * PRESENCE_STEPS) / PRESENCE_STEPS:g}"


def _rounded(value: float | None, n_digits: int) -> float | None:
    return None if value is None else round(value, n_digits)
