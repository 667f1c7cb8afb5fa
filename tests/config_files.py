"""Configurations for tests, and what reading them says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from listen_edge.runtime.service.config.against_bundle import read_with_bundle
from listen_edge.runtime.service.config.problems import ConfigError
from listen_edge.runtime.service.config.reading import Reading

WHOLE = """\
bundle: tiny
threads: 2
hop: 2
timezone: Europe/London
defaults: {on: 0.95, off: 0.6, confirm: 2/3, cooldown: 15}
sources:
  - id: kitchen
    name: Kitchen
    device: USB Audio
    presets: [safety]
    questions: [{ask: "kettle whistling?", on: 0.9}]
  - {name: "Garage, left", url: "rtsp://user:hunter2@camera/live"}
  - {id: phone, satellite: "[::1]:10700"}
questions:
  - {id: siren, ask: "siren?", priority: safety, quiet: ["22:00-06:00", sat 10:00-12:00]}
  - &dog dog barking?
presets: [pets]
events: {path: ./events.db, clips: ./clips, keep_days: 30, keep_mb: 2000}
outputs:
  lines: {path: "-"}
  mqtt: {host: 127.0.0.1, username: 0123, password: hunter22, node: house, discovery: no}
  webhooks: [{id: phone, url: "https://example.org/hunter2", secret: hunter2hunter2}]
  commands: [{id: lamp, run: [/usr/local/bin/lamp, on], timeout: 10}]
  desktop: true
web: {listen: 0.0.0.0:8765, token: hunter2hunter2hunter2}
"""
SOURCES = "sources: [{id: a, device: default}]\n"


def write_config(folder: Path, text: str | bytes) -> Path:
    path = folder / "listen.yaml"
    path.touch(0o600)  # WHOLE holds passwords
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder: Path, text: str | bytes, **environ: str) -> Reading:
    return read_with_bundle(write_config(folder, text), environ)[0]


def problems_in(
    folder: Path, text: str | bytes, environ: Mapping[str, str] | None = None
) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read(folder, text, **(environ or {}))
    assert all(line.isprintable() for line in refused.value.problems)
    return [line.removeprefix(f"{folder}/") for line in refused.value.problems]
