"""A bundle's own settings of events: read, refused, and the defaults of every listener."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from listen_edge.bundle.manifest import MANIFEST, parse_manifest
from listen_edge.cli.listen_options import listen_config
from listen_edge.cli.root import cli
from listen_edge.errors import BundleError
from listen_edge.event_settings import EventSettings, OwnThresholds
from listen_edge.lines.event import Event
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Listener
from listen_edge.runtime.thresholds import Thresholds
from tests.streams import LevelEngine, ScriptedSource, tone

FIELD: dict[str, Any] = {
    "on": 0.8,
    "off": 0.6,
    "confirm": [2, 3],
    "by_concept": {"glass breaking": {"on": 0.7, "off": 0.4}},
}
SETTINGS = EventSettings(0.8, 0.6, (2, 3), (OwnThresholds("glass breaking", 0.7, 0.4),))
OPTIONS: dict[str, Any] = {
    "on": None, "off": None, "hop": None, "confirm": None, "end_after": 5.0, "cooldown": 15.0,
    "long_event": 120.0, "gate": None, "save_clips": None, "stall_timeout": 30.0,
    "waits_for_device": False, "thresholds_path": None,
}  # fmt: skip


def _manifest(tiny_folder: Path, change: Callable[[dict[str, Any]], object]) -> bytes:
    raw = json.loads((tiny_folder / MANIFEST).read_text())
    raw["events"] = json.loads(json.dumps(FIELD))
    change(raw)
    return json.dumps(raw).encode()


def test_the_field_is_read(tiny_folder: Path) -> None:
    assert parse_manifest(_manifest(tiny_folder, lambda raw: None)).events == SETTINGS
    without = parse_manifest(_manifest(tiny_folder, lambda raw: raw["events"].pop("by_concept")))
    assert without.events == replace(SETTINGS, by_concept=())
    assert parse_manifest(_manifest(tiny_folder, lambda raw: raw.pop("events"))).events is None


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda raw: raw.update(events=None), "malformed"),
        (lambda raw: raw.update(events=[]), "malformed"),
        (lambda raw: raw["events"].pop("on"), "'on' is missing"),
        (lambda raw: raw["events"].pop("confirm"), "'confirm' is missing"),
        (lambda raw: raw["events"].update(on="0.9"), "events: missing or malformed"),
        (lambda raw: raw["events"].update(on=True), "events: missing or malformed"),
        (lambda raw: raw["events"].update(confirm=[2.5, 3]), "events: missing or malformed"),
        (lambda raw: raw["events"].update(confirm=[1, 2, 3]), "malformed"),
        (lambda raw: raw["events"].update(confirm=[3, 2]), "confirm 3 of 2"),
        (lambda raw: raw["events"].update(confirm=[0, 2]), "confirm 0 of 2"),
        (lambda raw: raw["events"].update(confirm=[1, 61]), "confirm 1 of 61"),
        (lambda raw: raw["events"].update(on=1.0), "on 1, off 0.6; expected 0 < off <= on < 1"),
        (lambda raw: raw["events"].update(off=0.9), "on 0.8, off 0.9"),
        (lambda raw: raw["events"].update(off=0), "off 0;"),
        (lambda raw: raw["events"].update(by_concept=[]), "malformed"),
        (lambda raw: raw["events"].update(by_concept={"siren": 0.5}), "malformed"),
        (lambda raw: raw["events"].update(by_concept={"siren": {"on": 0.5}}), "'off' is missing"),
        (lambda raw: raw["events"]["by_concept"]["glass breaking"].update(off=0.8), "off 0.8"),
        (lambda raw: raw["events"].update(by_concept={"": {"on": 0.5, "off": 0.5}}), "no|without"),
        (lambda raw: raw["events"].update(by_concept={"a\nb": {"on": 0.5, "off": 0.5}}), "printed"),
    ],
)
def test_an_impossible_field_is_refused(
    tiny_folder: Path, change: Callable[[dict[str, Any]], object], match: str
) -> None:
    with pytest.raises(BundleError, match=match) as refused:
        parse_manifest(_manifest(tiny_folder, change))
    assert str(refused.value).isprintable() and len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("options", "on", "off", "confirm", "glass"),
    [
        ({}, 0.8, 0.6, (2, 3), Thresholds(0.7, 0.4)),
        ({"on": 0.95}, 0.95, 0.6, (2, 3), None),
        ({"off": 0.9}, 0.9, 0.9, (2, 3), None),
        ({"confirm": (1, 1)}, 0.8, 0.6, (1, 1), Thresholds(0.7, 0.4)),
    ],
    ids=["none", "--on", "--off", "--confirm"],
)
def test_an_option_that_is_set_wins(
    options: dict[str, Any],
    on: float,
    off: float,
    confirm: tuple[int, int],
    glass: Thresholds | None,
) -> None:
    config = listen_config(SETTINGS, **{**OPTIONS, **options})
    assert config.trigger.thresholds == Thresholds(on, off)
    assert config.trigger.confirm == confirm
    assert config.thresholds.get("glass breaking") == glass


def test_without_the_field_the_defaults_are_the_triggers() -> None:
    assert listen_config(None, **OPTIONS) == ListenConfig() == ListenConfig.of(None)


def test_a_listener_without_a_configuration_takes_the_bundles() -> None:
    engine = LevelEngine()
    engine.bundle = SimpleNamespace(id="fake", manifest=SimpleNamespace(events=SETTINGS))
    source = ScriptedSource([tone(4, 0.75)], is_live=False)
    listener = Listener(engine, source, ["glass breaking?", "siren?"])  # type: ignore[arg-type]
    events = [line for line in listener if isinstance(line, Event)]
    assert {event.concept for event in events} == {"glass breaking"}
    assert listener.on_thresholds == [0.7, 0.8]


def test_replay_raises_events_as_the_bundle_says(tiny_folder: Path, tmp_path: Path) -> None:
    """With the real bundle: its dog is heard at once or never, as the manifest has it."""
    shutil.copytree(tiny_folder, tmp_path / "own")
    recording = tmp_path / "dog.wav"
    samples, rate = soundfile.read(tiny_folder / "clips/dog.ogg")
    soundfile.write(recording, np.concatenate([samples, samples]), rate)
    raised = {}
    for name, field in (
        ("at once", {"on": 0.5, "off": 0.5, "confirm": [1, 1]}),
        ("never", {"on": 0.5, "off": 0.5, "confirm": [60, 60]}),
    ):
        raw = json.loads((tiny_folder / MANIFEST).read_text())
        (tmp_path / "own" / MANIFEST).write_text(json.dumps({**raw, "events": field}))
        arguments = ["replay", str(recording), "--ask", "dog?", "--bundle", str(tmp_path / "own")]
        result = CliRunner().invoke(cli, [*arguments, "--format", "jsonl"])
        assert result.exit_code == 0, result.output
        raised[name] = [
            line["phase"]
            for line in map(json.loads, result.stdout.splitlines())
            if line["type"] == "event"
        ]
    assert raised == {"at once": ["start", "end"], "never": []}
