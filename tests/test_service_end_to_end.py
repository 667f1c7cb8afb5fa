"""All of the service at once: a microphone, a browser, a broker and the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import mosquitto
from tests.browsing import CHROMIUM, browser
from tests.mosquitto import Mosquitto, Witness, needs_mosquitto, wait_until
from tests.pulse import Room
from tests.test_page import PLAY
from tests.test_watch import configuration, logged, watching

pytestmark = [
    needs_mosquitto,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium"),
]

WAIT_S = 30.0
KITCHEN = "listen-edge/house/kitchen"


@pytest.fixture()
def room(tmp_path: Path, shared_cache: Path, tiny_folder: Path) -> Iterator[Room]:
    room = Room(tmp_path, shared_cache, tiny_folder / "clips")
    try:
        room.open()
        yield room
    finally:
        room.close()


@pytest.fixture()
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto.running(tmp_path) as broker:
        yield broker


def test_a_sound_in_the_room_is_told_to_everybody_and_judged(
    room: Room, broker: Mosquitto, tmp_path: Path
) -> None:
    path = configuration(
        tmp_path,
        Path(),
        sources=[{"name": "Kitchen", "device": "default"}],
        questions=["dog barking?"],
        defaults={"on": 0.7, "off": 0.3, "confirm": "1/1", "end_after": 1},
        events={"path": "events.db", "clips": "clips"},
        outputs={"mqtt": {"host": "127.0.0.1", "port": broker.port, "node": "house"}},
        web={"listen": "127.0.0.1:0"},
    )
    with closing(Witness(broker.port)) as witness, browser() as chromium:
        with watching(path, **room.env) as service:
            url = re.search(r"page and API at (http://127\.0\.0\.1:\d+/)", logged(path, "page and"))
            assert url is not None
            page = chromium.new_page()
            page.set_default_timeout(1000 * WAIT_S)
            page.goto(url[1])
            _use(page, room, witness)
            service.terminate()
            assert service.wait(WAIT_S) == 0
        wait_until(lambda: witness.last("listen-edge/house/status") == "offline")
    listed = room.run("events", "list", "--config", str(path), "--format", "jsonl")
    (event,) = map(json.loads, listed.stdout.splitlines())
    assert (event["source"], event["question"]) == ("kitchen", "siren")
    assert event["verdict"] == "false_alarm" and event["peak_presence"] > 0.7


def _use(page: Page, room: Room, witness: Witness) -> None:
    """Ask for a siren, hear one, listen to it again, call it false, and mute the kitchen."""
    row = page.locator("#questions > .card").filter(has_text="siren?").locator(".rows > li")
    page.get_by_label("Ask for another sound").fill("siren?")
    page.keyboard.press("Enter")
    _shows(row, "cannot tell: the microphone delivers only zeros")
    wait_until(lambda: witness.last(f"{KITCHEN}/available") == "online", WAIT_S)
    with room.playing("siren"):
        _shows(row, "present")
        item = page.locator("#event-list > li")
        _shows(item, "sounding now")
        dog = page.locator("#questions > .card").filter(has_text="dog").locator(".rows > li")
        _shows(dog, "absent")
        wait_until(lambda: witness.last(f"{KITCHEN}/siren/state") == "ON", WAIT_S)
    expect(item).not_to_contain_text("sounding now", timeout=1000 * WAIT_S)
    wait_until(lambda: witness.last(f"{KITCHEN}/siren/state") in ("OFF", "None"), WAIT_S)
    wait_until(lambda: _phases(witness)[-1] == "end", WAIT_S)
    assert _phases(witness)[0] == "start"
    page.locator("audio[src]").evaluate(PLAY)
    false = page.get_by_role("button", name="False alarm: siren? at Kitchen")
    false.click()
    expect(false).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Mute Kitchen").click()
    _shows(row, "cannot tell: the source is muted")
    wait_until(lambda: witness.last(f"{KITCHEN}/available") == "offline", WAIT_S)
    wait_until(lambda: witness.last(f"{KITCHEN}/mute") == "ON", WAIT_S)


def _shows(place: Locator, words: str) -> None:
    expect(place).to_contain_text(words, timeout=1000 * WAIT_S)


def _phases(witness: Witness) -> list[str]:
    told = witness.payloads(f"{KITCHEN}/siren/event")
    return [json.loads(line)["phase"] for line in told]
