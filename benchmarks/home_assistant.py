"""Ask Home Assistant's own schemas about a discovery config; runs in Home Assistant's Python.

    mosquitto_sub -C 1 -t 'homeassistant/device/+/config' | python benchmarks/home_assistant.py

Prints a line per component, and exits with 1 where Home Assistant would refuse it or would drop a
key that it does not know. Needs 2024.12 or newer; imports nothing of listen-edge.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import tempfile
from typing import Any

SHARED = ("availability", "availability_mode", "qos")
EVENT = '{"type":"event","phase":"start","uid":"e1","source":"kitchen","peak_presence":0.97}'


def full_names(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a config with its abbreviations written out, as Home Assistant does first."""
    names = importlib.import_module("homeassistant.components.mqtt.abbreviations")

    def written(part: dict[str, Any], short: dict[str, str]) -> dict[str, Any]:
        return {short.get(key, key): value for key, value in part.items()}

    config = written(payload, names.ABBREVIATIONS)
    config["device"] = written(config["device"], names.DEVICE_ABBREVIATIONS)
    config["origin"] = written(config["origin"], names.ORIGIN_ABBREVIATIONS)
    config["components"] = {
        key: written(component, names.ABBREVIATIONS)
        for key, component in config["components"].items()
    }
    return config


def dropped(component: dict[str, Any], config: dict[str, Any]) -> set[str]:
    """Return the keys of one component that Home Assistant does not know."""
    own = dict(component)
    platform = own.pop("platform")
    if not own:
        return set()  # to be removed
    full = {key: config[key] for key in SHARED if key in config}
    full |= {"device": config["device"], "origin": config["origin"], **own}
    room = importlib.import_module(f"homeassistant.components.mqtt.{platform}")
    return set(full) - {str(key) for key in room.DISCOVERY_SCHEMA(full)}


async def rendered(template: str, payload: str) -> str:
    """Return what Home Assistant makes of a payload by a value_template."""
    core = importlib.import_module("homeassistant.core")
    templates = importlib.import_module("homeassistant.helpers.template")
    with tempfile.TemporaryDirectory() as folder:
        maker = templates.Template(template, core.HomeAssistant(folder))
        return str(maker.async_render_with_possible_json_value(payload))


def main() -> None:
    """Read a config from stdin."""
    config = full_names(json.load(sys.stdin))
    schemas = importlib.import_module("homeassistant.components.mqtt.schemas")
    schemas.DEVICE_DISCOVERY_SCHEMA(config)
    version = importlib.import_module("homeassistant.const").__version__
    print(f"Home Assistant {version}: device {config['device']['identifiers']} ok")
    n_wrong = 0
    for key, component in config["components"].items():
        unknown = dropped(component, config)
        n_wrong += bool(unknown)
        print(f"{key}: {component['platform']} {f'drops {unknown}' if unknown else 'ok'}")
        if component["platform"] == "event" and "value_template" in component:
            event = json.loads(asyncio.run(rendered(component["value_template"], EVENT)))
            event_type = event["event_type"]
            n_wrong += event_type not in component["event_types"]
            print(f"  {EVENT} is of type {event_type!r}")
    sys.exit(1 if n_wrong else 0)


if __name__ == "__main__":
    main()
