"""Take the README's pictures of the page: in a browser, from the real page and its interface.

    python -m benchmarks.page_pictures

What is heard is told to the service (tests/fake_service.py); the sounds are the bundle's clips.
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from listen_edge.audio import read_audio
from tests.browsing import Visit, browser, visit
from tests.fake_service import HOP_S, FakeService, _question

ROOT = Path(__file__).parent.parent
CLIPS = ROOT / "listen_edge/bundles/tiny/clips"
MAX_BYTES = 150_000
N_COLOURS = 128  # a palette: a third of the bytes
N_WINDOWS = 310  # a little more than the ten minutes that are shown
PICTURES: dict[str, dict[str, Any]] = {
    "page-light.png": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "page-phone-dark.png": {
        "viewport": {"width": 360, "height": 760},
        "color_scheme": "dark",
        "device_scale_factor": 1.5,
        "is_mobile": True,
    },
}
SOUNDS = {  # question: words, sources, on, off, clip
    "siren": ("siren?", ("kitchen", "garage"), 0.93, 0.6, "siren.ogg"),
    "crying-baby": ("is a baby crying?", ("nursery",), 0.95, 0.6, "crying_baby.ogg"),
    "glass-breaking": ("glass breaking?", ("kitchen", "garage"), 0.95, 0.6, "glass_breaking.ogg"),
    "dog-barking": ("is a dog barking?", ("garage", "nursery"), 0.95, 0.6, "dog.ogg"),
}
HEARD = {  # windows before now in which each is heard
    ("kitchen", "siren"): ((212, 196), (31, 17)),
    ("nursery", "crying-baby"): ((158, 121),),
    ("garage", "dog-barking"): ((289, 281), (250, 244)),
}
LOST = range(26)  # windows before now in which the garage's camera was away


def main() -> None:
    with browser() as chromium:
        for name, looks in PICTURES.items():
            with (
                tempfile.TemporaryDirectory() as folder,
                visit(chromium, Path(folder), locale="en-GB", **looks) as visited,
            ):
                furnish(visited.service)
                take(visited, ROOT / "docs" / name)


def take(visited: Visit, path: Path) -> None:
    """Write the picture of a page at `path`."""
    visited.open()
    if "phone" in path.name:
        visited.page.locator("#questions-title").evaluate("title => title.scrollIntoView()")
        visited.page.evaluate("scrollBy(0, -75)")
    if "phone" not in path.name:
        visited.page.locator("#event-list img:visible").nth(1).wait_for()
    picture = Image.open(io.BytesIO(visited.page.screenshot())).convert("RGB")
    picture.quantize(N_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    n_bytes = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {n_bytes / 1000:.0f} kB")
    if n_bytes >= MAX_BYTES:
        raise SystemExit(f"{path}: {n_bytes} bytes, at most {MAX_BYTES}")


def furnish(service: FakeService) -> None:
    """Let a service of three rooms hear ten minutes."""
    yesterday = datetime.now(timezone.utc) - timedelta(hours=31)
    kitchen, nursery = (replace(source, since=yesterday) for source in service.sources())
    service._sources = {
        "kitchen": kitchen,
        "nursery": replace(nursery, id="nursery", name="Nursery"),
        "garage": replace(nursery, id="garage", name="Garage camera"),
    }
    service._questions = {
        key: _question(key, ask, sources, on, off, "safety" if key == "siren" else "normal")
        for key, (ask, sources, on, off, _) in SOUNDS.items()
    }
    service.first = [("speech", 0.41, 0.99), ("water tap, faucet", 0.07, 0.93)]
    now, rng = datetime.now(timezone.utc), np.random.default_rng(17)
    for ago in range(N_WINDOWS, -1, -1):
        at = now - timedelta(seconds=HOP_S * ago)
        for key, (_, sources, *_rest) in SOUNDS.items():
            for source in sources:
                hear(service, source, key, ago, at, rng)
    service.go("garage", "recovering", "rtsp://garage/1: nothing for 10 s; opened again in 8 s")
    service._change("garage", heard_at=now - timedelta(seconds=HOP_S * len(LOST)))
    for event in service.store.events():
        if event.ended_at is not None:
            service.keep_clip(event, np.tile(read_audio(CLIPS / SOUNDS[event.question][4]), 2))
    first = service.store.events()[-1]
    service.store.judge(first.id, "false_alarm")
    service.store.judge(first.id + 2, "right")


def hear(
    service: FakeService,
    source: str,
    question: str,
    ago: int,
    at: datetime,
    rng: np.random.Generator,
) -> None:
    """Answer one window of a room."""
    if source == "garage" and ago in LOST:
        service.hear(source, question, None, reason="no_audio", level_dbfs=None, at=at)
        return
    spans = HEARD.get((source, question), ())
    is_there = any(last <= ago <= first for first, last in spans)
    near = any(last - 2 <= ago <= first + 2 for first, last in spans)
    presence = 0.96 + 0.035 * rng.random() if is_there else 0.02 + 0.5 * rng.random() ** 9
    level_dbfs = (-24.0 if is_there else -48.0) + 6 * rng.standard_normal()
    if near and not is_there:
        presence = 0.3 + 0.25 * rng.random()
    service.hear(source, question, float(presence), level_dbfs=float(level_dbfs), at=at)


if __name__ == "__main__":
    main()
