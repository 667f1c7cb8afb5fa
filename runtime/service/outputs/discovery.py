"""Home Assistant finds the node by itself: one retained config for the device and its entities.

Entities are unavailable while the node is away or their source does not listen: a microphone that
is dead or muted is never "off". Words stand in names alone.

Source: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from listen_edge.runtime.service.outputs.topics import (
    Topics,
    asked_of,
    compact_json,
)
from listen_edge.runtime.service.records.types import QuestionStatus, SourceStatus, StationState

Config = dict[str, Any]
_PLATFORMS = ("binary_sensor", "event", "sensor", "switch")
_PHASE_AS_EVENT_TYPE = "{{ dict(value_json, event_type=value_json.phase) | to_json }}"


def device_id(topics: Topics) -> str:
    """Return what the device is known by, in its topic too."""
    return f"{topics.prefix}_{topics.node}"


def config_topic(topics: Topics, discovery_prefix: str) -> str:
    """Return the topic of the node's config."""
    return f"{discovery_prefix}/device/{device_id(topics)}/config"


def device_config(
    topics: Topics,
    *,
    version: str,
    bundle: str,
    sources: Sequence[SourceStatus],
    questions: Sequence[QuestionStatus],
) -> Config:
    """Return the config: per source a mute switch and its state, three entities per question."""
    components: dict[str, Config] = {}
    for source in sources:
        components |= _source_components(topics, source)
        for question in asked_of(source.id, questions):
            components |= _question_components(topics, source, question)
    return {
        "dev": {
            "ids": [device_id(topics)],
            "name": topics.node,
            "mf": "listen-edge",
            "mdl": bundle,
            "sw": version,
        },
        "o": {"name": "listen-edge", "sw": version},
        "qos": 1,
        "cmps": components,
    }


def removals(held: bytes, wanted: Config) -> Config | None:
    """Return the config that takes away what an earlier one had and `wanted` has not.

    None where nothing is to be taken away. It is to be published before `wanted`. What goes comes
    first, since Home Assistant stops reading a config at the first component that is still busy.
    Only what is named as ours is taken away, in less than half the bytes that it stood there with:
    whatever others write there, the answer stays small.

    Args:
        held: the earlier config, as the broker keeps it; anything.
    """
    try:
        earlier = json.loads(held)["cmps"]
        gone = {
            key: {"p": component["p"]}
            for key, component in earlier.items()
            if key not in wanted["cmps"]
            and component["p"] in _PLATFORMS
            and component["unique_id"] == f"{wanted['dev']['ids'][0]}.{key}"
            and key.isascii()
            if key.isascii() and component["unique_id"] == f"{wanted['dev']['ids'][0]}.{key}"
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return {**wanted, "cmps": gone | wanted["cmps"]} if gone else None


def config_json(config: Config) -> str:
    """Return a config's payload, the same for the same config."""
    return compact_json(config)


def _source_components(topics: Topics, source: SourceStatus) -> dict[str, Config]:
    """What works while the source does not: its mute switch, and what ails it."""
    node = {"availability": [{"topic": topics.status}]}
    health = topics.of_source(source.id, "health")
    mute = topics.of_source(source.id, "mute")
    return _named(
        topics,
        (source.id,),
        {
            "mute": {
                "p": "switch",
                "name": f"{source.name} mute",
                "state_topic": mute,
                "command_topic": f"{mute}/set",
                "entity_category": "config",
                "icon": "mdi:microphone-off",
                **node,
            },
            "microphone": {
                "p": "sensor",
                "name": f"{source.name} microphone",
                "device_class": "enum",
                "options": list(get_args(StationState)),
                "state_topic": health,
                "value_template": "{{ value_json.state }}",
                "json_attributes_topic": health,
                "entity_category": "diagnostic",
                "icon": "mdi:microphone",
                **node,
            },
        },
    )


def _question_components(
    topics: Topics, source: SourceStatus, question: QuestionStatus
) -> dict[str, Config]:
    def topic(leaf: str) -> str:
        return topics.of_question(source.id, question.id, leaf)

    name = f"{source.name} {question.concept}"
    listening: Config = {
        "availability": [
            {"topic": topics.status},
            {"topic": topics.of_source(source.id, "available")},
        ],
        "availability_mode": "all",
    }
    sounding = {
        "p": "binary_sensor",
        "name": name,
        "state_topic": topic("state"),
        "device_class": "safety" if question.priority == "safety" else "sound",
        **listening,
    }
    heard = {
        "p": "event",
        "name": f"{name} heard",
        "state_topic": topic("event"),
        "event_types": ["start", "update", "end"],
        "value_template": _PHASE_AS_EVENT_TYPE,
        "icon": "mdi:ear-hearing",
        **listening,
    }
    presence = {
        "p": "sensor",
        "name": f"{name} presence",
        "state_topic": topic("presence"),
        "state_class": "measurement",
        "suggested_display_precision": 2,
        "entity_category": "diagnostic",
        "enabled_by_default": False,  # it changes often; for those who look for a threshold
        "icon": "mdi:waveform",
        **listening,
    }
    parts = {"sounding": sounding, "heard": heard, "presence": presence}
    return _named(topics, (source.id, question.id), parts)


def _named(
    topics: Topics, ids: tuple[str, ...], components: Mapping[str, Config]
) -> dict[str, Config]:
    """Give components their ids. Dots keep ids apart: none has one."""
    named: dict[str, Config] = {}
    for part, component in components.items():
        key = ".".join((*ids, part))
        # Home Assistant's own names for entities, which their owner may change: a-z, 0-9 and _.
        entity = "_".join((topics.node, *ids, part)).replace("-", "_").removesuffix("_sounding")
        named[key] = {
            **component,
            "unique_id": f"{device_id(topics)}.{key}",
            "default_entity_id": f"{component['p']}.{entity}",
        }
    return named
