"""The report of a scan in a real browser: it plays, fits, and does nothing that it was not told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page, expect

from listen_edge.runtime.archive.review.report.markup import element, joined, text
from listen_edge.runtime.archive.review.report.write import write_report
from tests import browsing
from tests.browsing import CHROMIUM
from tests.scan_jobs import Scanned, write_job

HOSTILE = (
    '"><img src=x onerror="document.title=1">\'&amp;</style></title>\n\x1b[31m\u202e{{7*7}} $style'
)
PLAY = """audio => new Promise((resolve, reject) => {
    audio.ontimeupdate = () => audio.currentTime > 0 && resolve();
    audio.play().catch(reject);
})"""
LOOKS = {
    "phone": {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"},
    "wide": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a scan whose every name is hostile."""
    folder = tmp_path_factory.mktemp("scan")
    heard = {HOSTILE: [0.9, 0.5, 0.1, "inaudible"], "siren?": ["silent_input"] * 4}
    at = datetime(2026, 7, 1, 4, tzinfo=timezone.utc)
    scanned = [
        Scanned(
            folder / "audio" / f"{HOSTILE.replace('/', '')}.wav", heard, at, None, {"site": HOSTILE}
        ),
        Scanned(folder / "cut.wav", heard, at, HOSTILE, {"site": "b"}),
    ]
    scanned[0].write()
    job = write_job(folder / "<i>scan", scanned, carried=[pa.field("site", pa.string())])
    return write_report(job.folder)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("needs Debian's chromium")
    with browsing.browser() as chromium:
        yield chromium


@pytest.fixture()
def page(chromium: Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, opened; whatever a test does, it asks nobody and has no error."""
    context = chromium.new_context(**LOOKS[getattr(request, "param", "wide")])
    page, errors, requests = context.new_page(), list[str](), list[str]()
    page.on("console", lambda line: errors.append(line.text))
    page.on("pageerror", lambda err: errors.append(str(err)))
    page.on("request", lambda asked: requests.append(asked.url))
    page.goto(report.as_uri())
    yield page
    assert errors == []
    assert [url for url in requests[1:] if not url.startswith("data:")] == []
    context.close()


def test_page_shows_hostile_names_as_they_are(page: Page, report: Path) -> None:
    assert page.title() == "What was heard: <i>scan"
    shown = '"><img src=x onerror="document.title=1">\'&amp;</style></title>'
    expect(page.locator("#question-1 h2")).to_contain_text(shown)
    assert page.locator("#question-1 h2").inner_text().endswith(r"\n\x1b[31m\u202e{{7*7}} $style")
    expect(page.locator("#places tbody")).to_contain_text(shown)
    page.locator("#unheard summary").click()
    expect(page.locator("#unheard details")).to_contain_text(shown)
    assert page.locator("script, img, [style], [onerror]").count() == 0


def test_page_may_do_nothing_but_play(page: Page, report: Path) -> None:
    policy = page.locator("meta[http-equiv='Content-Security-Policy']").get_attribute("content")
    rules = dict(rule.strip().split(" ", 1) for rule in (policy or "").split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["media-src"] == rules["img-src"] == "data:" and "unsafe" not in str(rules)
    assert "script-src" not in rules  # as default-src: none runs
    page.locator("audio").first.evaluate(PLAY)
    assert 3.5 < page.locator("audio").first.evaluate("audio => audio.duration") < 7.5


def test_page_is_read_without_eyes(page: Page) -> None:
    levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(one => +one.tagName[1])")
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.locator("table:not(:has(> caption))").count() == 0
    assert page.locator("th:not([scope])").count() == 0
    names = page.locator("audio").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert names and all("presence 0." in name for name in names)
    charts = page.get_by_role("img").all()
    assert len(charts) == page.locator("svg[role=img]").count() == 4
    for chart in charts:
        titles = chart.locator(":scope > title, :scope > desc").all_text_contents()
        assert len(titles) == 2 and all(titles)
    ids = page.locator("[id]").evaluate_all("all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))
    expect(page.locator("#question-2")).to_contain_text("Cannot tell")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to what was not heard")).to_be_focused()


@pytest.mark.parametrize("page", LOOKS, indirect=True)
def test_page_fits_and_can_be_read(page: Page) -> None:
    for summary in page.locator("summary").all():
        summary.click()
    over = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert over == 0
    faint = page.evaluate(
        CONTRAST, "p, h1, h2, h3, td, th, dt, dd, a, summary, caption, figcaption"
    )
    assert faint == []


# WCAG 2.2, 1.4.3: 4.5 between text and the first ground behind it that is not transparent.
CONTRAST = """selector => {
    const light = colour => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = one => {
        const colour = getComputedStyle(one).backgroundColor;
        return colour !== 'rgba(0, 0, 0, 0)' ? colour : ground(one.parentElement);
    };
    return [...document.querySelectorAll(selector)].filter(one => one.textContent).map(one => {
        const [a, b] = [getComputedStyle(one).color, ground(one)].map(light).sort((x, y) => x - y);
        return [(b + 0.05) / (a + 0.05), one.textContent.slice(0, 40)];
    }).filter(([ratio]) => ratio < 4.5);
}"""


def test_markup_escapes_all_but_markup() -> None:
    told: Any = element("p", "5 < 6 & ", element("b", "x"), class_='"', aria_label=None, x=1 / 3)
    assert told == '<p class="&quot;" x="0.33">5 &lt; 6 &amp; <b>x</b></p>'
    assert joined(["<", text("<"), told[:2]], ",") == "&lt;,&lt;,&lt;p"  # a part is no markup
