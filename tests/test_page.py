"""The page in a real browser: what it shows, what it does, what it must never do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
from playwright.sync_api import Browser, expect

from listen_edge.lines.answer import Reason
from listen_edge.lines.event import Ending
from listen_edge.runtime.service.config.models import WebConfig
from listen_edge.runtime.service.records.store import INTERRUPTED
from listen_edge.runtime.service.records.types import StationState
from listen_edge.runtime.service.web.serve import WebServer
from tests import browsing
from tests.browsing import CHROMIUM, TOKEN, Visit, visit

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")
expect.set_options(timeout=8000)

NONE = "\N{EN DASH}"  # in place of a figure
MAX_BYTES = 150_000
HOSTILE = '<img src=x onerror="document.title=1">"\'&amp; {{7*7}} siren?'
PLAY = """audio => new Promise((resolve, reject) => {
    audio.ontimeupdate = () => audio.currentTime > 0 && resolve();
    audio.play().catch(reject);
})"""
INK = "canvas => canvas.toDataURL()"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing.browser() as chromium:
        yield chromium


@pytest.fixture()
def visited(chromium: Browser, tmp_path: Path) -> Iterator[Visit]:
    """A page that is live; whatever a test does, it asks nobody else and has no error."""
    with visit(chromium, tmp_path) as visited:
        visited.open()
        yield visited
        assert visited.elsewhere() == [] and visited.errors == []


def test_page_is_small_whole_and_does_not_jump(visited: Visit) -> None:
    page, service = visited.page, visited.service
    sent = {response.url: len(response.body()) for response in visited.responses
            if "stream" not in response.url}  # fmt: skip
    assert sum(sent.values()) < MAX_BYTES and any("icon.svg" in url for url in sent)
    policy = visited.responses[0].headers["content-security-policy"]
    assert "unsafe" not in policy and "script-src 'self'" in policy
    page.evaluate("document.body.append(document.createElement('p'))")  # the last may grow
    for presence in (0.02, 0.7, 0.97, 0.97, 0.03):
        service.hear("kitchen", "siren", presence)
    expect(visited.row("siren?", "Kitchen")).to_contain_text("0.03")
    shifts = page.evaluate("""new Promise(resolve => new PerformanceObserver(
        list => resolve(list.getEntries().map(entry => entry.value))
    ).observe({type: 'layout-shift', buffered: true}) || setTimeout(resolve, 200, []))""")
    assert sum(shifts) < 0.02


def test_every_word_of_the_lines_is_put_in_words(visited: Visit) -> None:
    words = visited.page.evaluate(
        """async ([reasons, endings, states]) => {
        const words = await import('/page/words.js');
        return [...reasons.map(one => words.stateWords('unknown', one)),
            ...endings.map(words.endingWords), ...states.map(words.stationWords)]
    }""",
        [[*get_args(Reason)], [*get_args(Ending), INTERRUPTED], [*get_args(StationState)]],
    )
    bare = {*get_args(Reason), *get_args(Ending), INTERRUPTED, *get_args(StationState)}
    assert [one for one in words if one.removeprefix("cannot tell: ") in bare - {"starting"}] == []


def test_presence_moves_and_unknown_is_never_shown_as_absent(visited: Visit) -> None:
    row = visited.row("siren?", "Kitchen")
    expect(row).to_contain_text("cannot tell: no answer yet")
    visited.service.hear("kitchen", "siren", 0.03)
    expect(row).to_contain_text("absent")
    ink = row.locator("canvas").evaluate(INK)
    visited.service.hear("kitchen", "siren", 0.7)
    expect(row).to_contain_text("cannot tell: it may or may not be there")
    visited.service.hear("kitchen", "siren", None, reason="silent_input", level_dbfs=None)
    expect(row).to_contain_text("cannot tell: the microphone delivers only zeros")
    expect(row).not_to_contain_text("absent")
    expect(row.locator(".figure")).to_have_text(NONE)
    assert row.locator("canvas").evaluate(INK) != ink
    label = row.locator("canvas").get_attribute("aria-label") or ""
    assert re.search(r"siren\? at Kitchen .* highest 0\.70 at .* now cannot tell", label)
    kitchen = visited.page.get_by_role("meter", name="Level of Kitchen")
    expect(kitchen).to_have_attribute("aria-valuetext", "no level")


def test_an_event_is_heard_judged_and_acknowledged(visited: Visit) -> None:
    page, service = visited.page, visited.service
    service.hear("kitchen", "siren", 0.98, at=_ago(20))
    item = page.locator("#event-list > li")
    expect(item).to_contain_text("sounding now")
    expect(page.get_by_role("log")).to_contain_text("siren? at Kitchen")
    service.hear("kitchen", "siren", 0.02, at=_ago(10))  # its clip is written by now
    expect(item).to_contain_text("no longer heard")
    page.locator("audio[src]").wait_for()
    item.locator("audio").evaluate(PLAY)
    clips = [one for one in visited.responses if one.url.endswith("/clip")]
    assert clips and all(one.status == 206 for one in clips)
    assert "range" in clips[0].request.headers
    expect(item.get_by_role("img")).to_be_visible()
    wrong = page.get_by_role("button", name="False alarm: siren? at Kitchen")
    wrong.click()
    expect(wrong).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Acknowledge: siren? at Kitchen").click()
    expect(page.get_by_role("button", name="Acknowledged: siren?")).to_be_disabled()
    kept = service.store.events()[0]
    assert kept.verdict == "false_alarm" and kept.acknowledged_at is not None
    wrong.click()
    expect(wrong).to_have_attribute("aria-pressed", "false")
    assert service.store.events()[0].verdict is None


def test_a_question_is_added_from_the_keyboard_and_removed(visited: Visit) -> None:
    page, service = visited.page, visited.service
    page.get_by_label("Ask for another sound").fill("yes")
    page.keyboard.press("Enter")
    refused = page.get_by_label("Ask for another sound")
    expect(refused).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#add-note")).to_contain_text("yes")
    refused.fill("is a dog barking?")
    page.get_by_label("Where").select_option(label="Hall")
    page.keyboard.press("Enter")
    row = visited.row("is a dog barking?", "Hall")
    expect(row).to_contain_text("no answer yet")
    service.hear("hall", "dog-barking", 0.99)
    expect(row).to_contain_text("present")
    page.get_by_role("button", name="Remove is a dog barking?").click()
    expect(page.locator("#questions > .card")).to_have_count(2)
    visited.errors.remove(next(one for one in visited.errors if "422" in one))


def test_hostile_words_are_shown_as_words(chromium: Browser, tmp_path: Path) -> None:
    with visit(chromium, tmp_path) as visited:
        service = visited.service
        service._questions["siren"] = replace(service._questions["siren"], ask=HOSTILE)
        service._change("kitchen", name=HOSTILE, message=HOSTILE)
        service.first = [(HOSTILE, 0.5, 0.9)]
        for presence in (0.97, 0.02):
            service.hear("kitchen", "siren", presence)
        visited.open()
        for shown in ("#questions h3", "#sources h3", "#event-list h3", "#heard th[scope=row]"):
            expect(visited.page.locator(shown).first).to_have_text(HOSTILE)
        assert visited.page.locator("img[src=x]").count() == 0
        assert visited.page.title() == "listen-edge" and visited.errors == []


def test_a_source_is_muted_and_an_output_tried(visited: Visit) -> None:
    page, service = visited.page, visited.service
    page.get_by_role("button", name="Mute Hall").click()
    hall = page.locator("#sources > li").filter(has_text="Hall")
    expect(hall).to_contain_text("muted: its device is closed")
    assert service.sources()[1].state == "muted"
    expect(page.locator("#summary")).to_have_text("Listening at 1 of 2 sources; 1 cannot tell.")
    service.go("kitchen", "failed", "device is gone; plug it in")
    expect(page.locator("#sources")).to_contain_text("device is gone; plug it in")
    page.get_by_role("button", name="Unmute Hall").click()
    expect(hall).to_contain_text("listening")
    page.get_by_label("Test with").select_option(label="siren? at Hall")
    page.get_by_role("button", name="Test webhook:phone").click()
    expect(page.locator("#outputs")).to_contain_text("failed: webhook phone: connection refused")
    assert service.fired == [("webhook:phone", "siren", "hall")]


def test_thresholds_say_what_they_would_have_done(visited: Visit) -> None:
    page, service = visited.page, visited.service
    for presence, age_s in ((0.97, 60), (0.02, 40)):
        service.hear("kitchen", "siren", presence, at=_ago(age_s))
    page.get_by_text("Thresholds: on 0.90, off 0.50").click()
    on = page.get_by_role("slider", name="On: an event begins at").first
    off = page.get_by_role("slider", name="Off: it ends below").first
    would = page.locator(".would").first
    expect(would).to_contain_text("would have made 1 event (Kitchen 1, Hall 0)")
    on.fill("0.97")
    on.press("ArrowRight")
    expect(page.get_by_label("On: an event begins at, as a number").first).to_have_value("0.98")
    expect(would).to_contain_text("would have made 0 events; 1 event with those in force")
    on.fill("0.4")
    expect(off).to_have_value("0.4")  # never above on
    off.fill("0.3")
    page.get_by_role("button", name="Use these").first.click()
    expect(page.locator("summary").first).to_have_text("Thresholds: on 0.40, off 0.30")
    assert (service.questions()[0].on, service.questions()[0].off) == (0.4, 0.3)


def test_a_token_is_asked_for_and_plays_clips_too(chromium: Browser, tmp_path: Path) -> None:
    with visit(chromium, tmp_path, TOKEN) as visited:
        page, service = visited.page, visited.service
        for presence, age_s in ((0.97, 20), (0.02, 10)):
            service.hear("kitchen", "siren", presence, at=_ago(age_s))
        page.goto(visited.server.url)
        page.get_by_role("textbox", name="Token").fill("not the right token")
        page.keyboard.press("Enter")
        expect(page.locator("#token-note")).to_have_text("The service refused that token.")
        page.get_by_role("textbox", name="Token").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("#link")).to_have_text("live")
        page.locator("#event-list").scroll_into_view_if_needed()
        page.locator("audio[src^='blob:']").evaluate(PLAY)
        assert all(TOKEN not in request.url for request in visited.requests)
        page.reload()
        expect(page.locator("#link")).to_have_text("live")
        assert page.evaluate("localStorage.length") == 0


def test_a_lost_connection_is_told_and_mended(visited: Visit) -> None:
    page, service = visited.page, visited.service
    service.hear("kitchen", "siren", 0.03)
    row = visited.row("siren?", "Kitchen")
    expect(row).to_contain_text("absent")
    listen = visited.server.url.removeprefix("http://").rstrip("/")
    visited.server.stop()
    expect(page.locator("#link")).to_have_text("connection lost")
    expect(page.locator("#summary")).to_contain_text("Unknown what is heard since")
    expect(row).to_contain_text("cannot tell: not connected to the service")
    expect(page.locator("#sources")).not_to_contain_text("listening")
    expect(row.locator(".figure")).to_have_text(NONE)
    visited.server = WebServer(service, WebConfig(listen=listen))
    visited.server.start()
    try:
        expect(page.locator("#link")).to_have_text("live")
        expect(row).to_contain_text("absent")
    finally:
        visited.server.stop()
    visited.errors.clear()


def test_answers_that_stop_coming_are_unknown(chromium: Browser, tmp_path: Path) -> None:
    with visit(chromium, tmp_path) as visited:
        page, service = visited.page, visited.service
        page.clock.install()
        visited.open()
        for source in ("kitchen", "hall"):
            service.hear(source, "siren", 0.03)
        expect(visited.row("siren?", "Hall")).to_contain_text("absent")
        page.clock.fast_forward(15_000)
        service.hear("kitchen", "siren", 0.03)
        expect(visited.row("siren?", "Hall")).to_contain_text("cannot tell: no answer for 15 s")
        expect(visited.row("siren?", "Kitchen")).to_contain_text("absent")
        page.clock.fast_forward(26_000)  # not even a heartbeat
        expect(page.locator("#summary")).to_contain_text("the service says nothing")


def test_nothing_runs_faster_than_the_data(chromium: Browser, tmp_path: Path) -> None:
    with visit(chromium, tmp_path) as visited:
        visited.page.add_init_script("""
            window.calls = {setTimeout: 0, setInterval: 0, requestAnimationFrame: 0};
            for (const name of Object.keys(calls)) {
              const made = window[name];
              window[name] = (...values) => { calls[name] += 1; return made(...values) };
            }""")
        visited.open()
        visited.service.hear("kitchen", "siren", 0.5)
        expect(visited.row("siren?", "Kitchen")).to_contain_text("0.50")
        visited.page.evaluate("for (const name in calls) calls[name] = 0")
        for k in range(10):
            visited.service.hear("kitchen", "siren", 0.1 + 0.01 * k)
            expect(visited.row("siren?", "Kitchen")).to_contain_text(f"{0.1 + 0.01 * k:.2f}")
        calls = visited.page.evaluate("calls")
    assert calls["setInterval"] == 0
    assert calls["setTimeout"] <= 10 and calls["requestAnimationFrame"] <= 10


def test_everything_has_a_name_and_can_be_read(chromium: Browser, tmp_path: Path) -> None:
    with visit(chromium, tmp_path) as visited:
        page, service = visited.page, visited.service
        for presence in (0.97, 0.02, 0.97):
            service.hear("kitchen", "siren", presence)
        service.hear("hall", "siren", None, reason="silent_input")
        service.go("hall", "failed", "it is gone")
        visited.open()
        page.locator("summary").first.click()
        page.locator("#event-list audio").wait_for()
        names = _accessible(page)
        unnamed = [role for role, name in names if role in _CONTROLS and not name]
        assert unnamed == [] and {role for role, _ in names} >= _CONTROLS
        for scheme, width in product(("light", "dark"), (360, 1280)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(_UNREADABLE) == []
        expected = page.evaluate(_FOCUSABLE)
        page.locator(".skip").focus()
        for wanted in expected[1:]:
            page.keyboard.press("Tab")
            while page.evaluate("document.activeElement.tagName") == "AUDIO":
                page.keyboard.press("Tab")  # the buttons of a player are the browser's
            assert page.evaluate(f"({_NAMED})(document.activeElement)") == wanted
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


_CONTROLS = {"button", "textbox", "combobox", "slider", "spinbutton", "meter", "image"}
_NAMED = "e => e.id || e.getAttribute('aria-label') || e.textContent || e.tagName"
# In a document without positive tabindex the order of focus is that of the document.
_FOCUSABLE = f"""[...document.querySelectorAll('a[href], button, input, select, summary')]
    .filter(e => !e.disabled && e.checkVisibility({{contentVisibilityAuto: true}}))
    .map({_NAMED})"""
# WCAG 2.2, relative luminance and 1.4.3: text of at least 4.5 : 1, large or bold of 3 : 1.
_UNREADABLE = """(() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = c => c.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = channels(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.disabled) continue;
    if (e.closest('option, .unseen, noscript')) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(channels(style.color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push([e.textContent, style.color, ratio]);
  }
  return found;
})()"""


def _ago(age_s: float) -> datetime:
    return datetime.now(timezone.utc) - timedelta(seconds=age_s)


def _accessible(page: Any) -> list[tuple[str, str]]:
    """Return role and name of all that assistive technology is told of."""
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree["nodes"]
        if not node["ignored"]
    ]
