"""Every family of routes against a fake service, and the whole against a real one."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from listen_edge.lines.answer import Answer
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.service.config.models import WatchConfig
from listen_edge.runtime.service.records.types import StoredEvent
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.web.bounds import Limits
from listen_edge.runtime.service.web.picture import spectrogram_png
from listen_edge.runtime.service.web.routes.history import thin
from listen_edge.runtime.service.web.serve import WebServer
from tests.web_client import Served, serving

LIMITS = Limits(n_streams=2, heartbeat_s=0.2)


@pytest.fixture()
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, LIMITS) as served:
        yield served


def heard_event(served: Served) -> StoredEvent:
    for presence in (0.1, 0.97, 0.98, 0.1):
        served.service.hear("kitchen", "siren", presence)
    return served.service.store.events(limit=1)[0]


def test_a_question_is_added_moved_and_removed(served: Served) -> None:
    client = served.client
    added = client.post("v1/questions", json={"ask": "dog barking?", "sources": ["hall"]})
    assert (added.status_code, added.json()["id"]) == (201, "dog-barking")
    assert not added.json()["from_config"]
    moved = client.patch("v1/questions/dog-barking", json={"on": 0.8, "off": 0.4}).json()
    assert (moved["on"], moved["off"]) == (0.8, 0.4)
    for body in ({"on": 0.4, "off": 0.8}, {"on": 1.1, "off": 0.5}, {"on": 0.9}):
        assert client.patch("v1/questions/dog-barking", json=body).status_code in (409, 422)
    for body in ({"ask": "dog barking?"}, {"ask": ""}, {"ask": "rain?", "sources": ["attic"]}):
        assert client.post("v1/questions", json=body).status_code in (404, 409, 422)
    assert client.delete("v1/questions/dog-barking").status_code == 204
    assert client.delete("v1/questions/dog-barking").status_code == 404
    assert [one["id"] for one in client.get("v1/questions").json()] == ["siren", "kettle"]


def test_a_source_is_muted_until_it_is_not(served: Served) -> None:
    client = served.client
    until = "2040-01-01T08:00:00+02:00"
    muted = client.post("v1/sources/hall/mute", json={"until": until}).json()
    assert (muted["state"], muted["message"]) == ("muted", "muted until 06:00")
    assert client.post("v1/sources/hall/unmute", json={}).json()["state"] == "healthy"
    refused = client.post("v1/sources/hall/mute", json={"until": "2040-01-01T08:00:00"})
    assert refused.status_code == 422 and "needs its offset" in refused.text
    assert client.post("v1/sources/attic/mute", json={}).status_code == 404


def test_events_are_paged_judged_and_acknowledged(served: Served) -> None:
    events = [heard_event(served) for _ in range(5)]
    client, ids = served.client, [event.id for event in events][::-1]
    first = client.get("v1/events", params={"limit": 2}).json()
    rest = client.get("v1/events", params={"before": first[-1]["id"]}).json()
    assert [event["id"] for event in first + rest] == ids
    verdict = {"verdict": "false_alarm", "note": "<b>the radio</b>"}
    judged = client.post(f"v1/events/{ids[0]}/verdict", json=verdict).json()
    assert (judged["verdict"], judged["note"]) == ("false_alarm", "<b>the radio</b>")
    (found,) = client.get("v1/events", params={"verdict": "false_alarm"}).json()
    assert found == judged == client.get(f"v1/events/{ids[0]}").json()
    seen = client.post(f"v1/events/{ids[1]}/acknowledge", json={}).json()
    assert seen["acknowledged_at"] is not None
    assert client.post(f"v1/events/{ids[0]}/verdict", json={"verdict": None}).status_code == 200
    assert client.get("v1/events", params={"verdict": "false_alarm"}).json() == []
    assert client.get("v1/events", params={"source": "hall"}).json() == []
    since = client.get("v1/events", params={"since": "2040-01-01T00:00:00Z"})
    assert since.json() == []
    assert client.get("v1/events/99").status_code == 404


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        (None, 200, slice(None)),
        ("bytes=0-99", 206, slice(100)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-50", 206, slice(-50, None)),
        ("bytes=0-99999999", 206, slice(None)),
        ("bytes=99999999-", 416, None),
        ("bytes=9-1", 400, None),
        ("lines=1-2", 400, None),
        ("bytes=" + ",".join("0-1" for _ in range(500)), 200, slice(None)),
    ],
)
def test_a_clip_is_sent_whole_or_in_part(
    served: Served, asked: str | None, status: int, part: slice | None
) -> None:
    event = heard_event(served)
    path = served.service.store.clip_path(event)
    assert path is not None
    headers = {} if asked is None else {"Range": asked}
    response = served.client.get(f"v1/events/{event.id}/clip", headers=headers)
    assert response.status_code == status
    if part is not None:
        assert response.content == path.read_bytes()[part]
        assert response.headers["content-type"] == "audio/flac"


@pytest.mark.parametrize("name", ["../../secret.flac", "/etc/passwd", "..", "link.flac", None])
def test_no_name_of_a_clip_leads_out_of_its_folder(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    (tmp_path / "secret.flac").write_text("secret")
    (tmp_path / "clips/link.flac").symlink_to(tmp_path / "secret.flac")
    event = heard_event(served)
    odd = replace(event, clip=name)
    monkeypatch.setattr(served.service.store, "event", lambda event_id: odd)
    for what in ("clip", "spectrogram.png"):
        response = served.client.get(f"v1/events/{event.id}/{what}")
        assert response.status_code == 404 and "secret" not in response.text


def test_a_picture_shows_the_tone_where_it_is(served: Served) -> None:
    event = heard_event(served)
    served.service.keep_clip(event, _tone(3000.0, 2.0))
    response = served.client.get(f"v1/events/{event.id}/spectrogram.png")
    assert response.headers["content-type"] == "image/png"
    pixels = _pixels(response.content)  # (height, width)
    assert pixels.shape == (160, 201)
    row = int(pixels.sum(axis=1).argmax())
    assert 45 <= row <= 60  # 3 kHz lies at two thirds of Slaney's mel scale to 8 kHz
    assert pixels[row].min() > 240 and pixels[row + 40].max() < 200


def test_a_picture_is_never_wider_than_its_pixels() -> None:
    click = np.zeros(60 * 16_000, np.float32)
    click[30 * 16_000 :][:160] = 0.5
    pixels = _pixels(spectrogram_png(click))
    assert pixels.shape == (160, 800)
    assert pixels[:, 398:403].max() == 255 and pixels[:, :390].max() == 0
    assert _pixels(spectrogram_png(np.zeros(10, np.float32))).shape == (160, 1)


def _tone(hz: float, seconds: float) -> Any:
    time = np.arange(round(16_000 * seconds)) / 16_000
    return np.asarray(0.3 * np.sin(2 * np.pi * hz * time), np.float32)


def _pixels(png: bytes) -> Any:
    """Read a PNG of 8-bit indices, as another reader would."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, size = 8, b"", (0, 0)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        chunk = png[at + 8 : at + 8 + length]
        (crc,) = struct.unpack_from(">I", png, at + 8 + length)
        assert crc == zlib.crc32(kind + chunk)
        size = struct.unpack_from(">II", chunk) if kind == b"IHDR" else size
        data += chunk if kind == b"IDAT" else b""
        at += 12 + length
    width, height = size
    lines = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:]


def test_history_shows_what_was_heard_and_what_was_not(served: Served) -> None:
    now = datetime.now(timezone.utc)
    for k, presence in enumerate([0.1, 0.2, None, None, 0.9, 0.3]):
        reason: Any = "inaudible" if presence is None else None
        at = now - timedelta(seconds=12 - 2 * k)
        served.service.hear("kitchen", "siren", presence, reason=reason, at=at)
    asked = {"source": "kitchen", "question": "siren"}
    told = served.client.get("v1/history", params=asked).json()
    assert told["presence"] == [0.1, 0.2, None, None, 0.9, 0.3]
    assert told["times"][-1] == pytest.approx(now.timestamp() - 2, abs=0.01)
    few = served.client.get("v1/history", params={**asked, "points": 3}).json()
    assert (few["presence"], few["unknown"]) == ([0.2, None, 0.9], [0, 1, 0])
    nothing = served.client.get("v1/history", params={**asked, "source": "hall"}).json()
    assert nothing["times"] == nothing["presence"] == []


def test_a_peak_is_never_thinned_away() -> None:
    presence = np.full(43_200, 0.1)
    presence[12_345], presence[30_000:30_100] = 0.99, np.nan
    times, highest, unknown = thin(np.arange(43_200.0), presence, 1000)
    assert len(times) == 1000 and times[-1] == 43_199 and np.nanmax(highest) == 0.99
    assert unknown.max() == 1 and np.isnan(highest).sum() >= 1
    assert (unknown * np.diff(times, prepend=-1)).sum() == pytest.approx(100)


def test_what_if_tells_the_events_of_other_thresholds(served: Served) -> None:
    now = datetime.now(timezone.utc)
    for k, presence in enumerate([0.1, 0.7, 0.1, 0.1, 0.1, 0.1, 0.95, 0.1]):
        at = now - timedelta(minutes=10) + timedelta(seconds=30 * k)
        served.service.hear("kitchen", "siren", presence, at=at)
    asked = {"question": "siren", "on": 0.6, "off": 0.4}
    would = served.client.get("v1/what-if", params=asked).json()
    assert would["n_now"] == 1 and [one["peak_presence"] for one in would["events"]] == [0.7, 0.95]
    assert {one["source"] for one in would["events"]} == {"kitchen"}
    none = served.client.get("v1/what-if", params={**asked, "on": 0.99}).json()
    assert none == {"events": [], "n_now": 1}
    for bad in ({"on": 0.3}, {"on": 2}, {"off": "nan"}, {"hours": 0}):
        assert served.client.get("v1/what-if", params={**asked, **bad}).status_code == 422
    assert served.client.get("v1/what-if", params={**asked, "question": "x"}).status_code == 404


def test_lines_are_streamed_with_heartbeats(served: Served) -> None:
    with served.client.stream("GET", "v1/stream", params={"kind": "answer"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        assert next(lines) == "retry: 2000"
        assert next(line for line in lines if line.startswith(":")) == ": nothing new"
        answer = served.service.hear("kitchen", "siren", 0.97)  # the event is not asked for
        served.service.hear("kitchen", "siren", 0.1)
        told = list(islice(_told(lines), 4))
    assert told[0] == told[2] == "event: answer"
    assert Answer.from_json_line(told[1].removeprefix("data: ")) == answer


def test_the_lines_of_a_window_are_sent_together(served: Served) -> None:
    with served.client.stream("GET", "v1/stream", params={"kind": "answer"}) as response:
        sent, n_lines = response.iter_text(), [0]
        for _ in range(20):
            served.service.hear("kitchen", "kettle", 0.1)
        while sum(n_lines) < 20:
            n_lines.append(next(sent).count("event: answer"))
    assert len([n for n in n_lines if n]) <= 3


def _told(lines: Iterator[str]) -> Iterator[str]:
    return (line for line in lines if line.startswith(("event:", "data:")))


def test_a_client_that_reads_too_slowly_is_told_what_it_missed(served: Served) -> None:
    with served.client.stream("GET", "v1/stream") as response:
        lines = response.iter_lines()
        next(lines)
        (subscription,) = served.service._subscriptions
        subscription.n_dropped = 7
        assert next(_told(lines)) == "event: missed" and next(_told(lines)) == 'data: {"n": 7}'


def test_streams_are_bounded_and_given_back(served: Served) -> None:
    with served.client.stream("GET", "v1/stream"), served.client.stream("GET", "v1/stream"):
        refused = served.client.get("v1/stream")
        assert refused.status_code == 429 and refused.headers["retry-after"]
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        for _ in range(200):
            with client.stream("GET", "v1/stream") as response:
                if response.status_code == 200:
                    break
            threading.Event().wait(0.02)
    assert response.status_code == 200


def test_outputs_are_tried(served: Served) -> None:
    client = served.client
    assert [one["n_pending"] for one in client.get("v1/outputs").json()] == [0, 3]
    both = client.post("v1/outputs/all/test", json={}).json()
    assert [(one["output"], one["error"] is None) for one in both] == [
        ("lines", True),
        ("webhook:phone", False),
    ]
    assert client.post("v1/outputs/lines/test", json={"question": "kettle"}).status_code == 200
    assert served.service.fired == [(None, "siren", "kitchen"), ("lines", "kettle", "kitchen")]
    for path, body in (("x", {}), ("all", {"question": "x"}), ("all", {"source": "x"})):
        assert client.post(f"v1/outputs/{path}/test", json=body).status_code == 404


def test_metrics_have_ids_alone_for_labels(served: Served) -> None:
    heard_event(served)
    served.service.hear("hall", "siren", None, reason="silent_input", level_dbfs=None)
    served.service.go("hall", "alarmed", "nothing\narrives {}\"'")
    families = {f.name: f for f in parsed(served.client.get("metrics").text)}
    values = {
        (s.name, *sorted(s.labels.values())): s.value
        for family in families.values()
        for s in family.samples
    }
    assert values["listen_edge_windows_total", "kitchen"] == 4
    assert values["listen_edge_presence", "kitchen", "siren"] == 0.1
    assert ("listen_edge_presence", "hall", "siren") not in values  # nothing was heard
    assert ("listen_edge_level_dbfs", "hall") not in values
    assert values["listen_edge_source_state", "alarmed", "hall"] == 1
    assert values["listen_edge_output_pending", "webhook:phone"] == 3
    assert values["listen_edge_events_total", "kitchen", "siren"] == 1
    heard_event(served)
    later = served.client.get("metrics").text
    assert 'listen_edge_events_total{question="siren",source="kitchen"} 2.0' in later
    assert 1e7 < families["listen_edge_rss_bytes"].samples[0].value < 1e10
    assert "siren?" not in later and "arrives" not in later


def test_not_ready_says_why(served: Served) -> None:
    assert served.client.get("readyz").status_code == 200
    served.service.not_ready = "hall: nothing arrives since 08:12"
    response = served.client.get("readyz")
    assert response.status_code == 503
    assert response.json() == {"is_ready": False, "reason": "hall: nothing arrives since 08:12"}
    assert served.client.get("healthz").status_code == 200


def test_no_answer_waits_for_an_acknowledgement(served: Served) -> None:
    """Head and body go out apart: with Nagle's algorithm, no response came within 40 ms."""
    took = [served.client.get("healthz").elapsed for _ in range(10)]
    assert min(took) < timedelta(milliseconds=30)


def test_a_real_service_answers_as_its_engine_does(
    engine: Engine, tiny_folder: Path, tmp_path: Path
) -> None:
    clip = (tiny_folder / "clips/siren.ogg").read_bytes()
    config = WatchConfig.model_validate(
        {
            "sources": [{"id": "door", "file": str(tiny_folder / "clips/dog.ogg")}],
            "questions": [{"id": "siren", "ask": "siren?"}],
            "events": {"path": str(tmp_path / "events.db")},
            "web": {"listen": "127.0.0.1:0"},
            "first_minutes": 0,
        }
    )
    assert config.web is not None
    with Service(config, engine=engine) as service:
        server = WebServer(service, config.web)
        server.start()
        with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
            file = {"file": ("siren.ogg", io.BytesIO(clip))}
            answers = client.post("v1/ask", files=file, data={"question": "siren?"}).json()
            assert [one["state"] for one in answers["answers"]] == ["present"]
            assert [one["id"] for one in client.get("v1/sources").json()] == ["door"]
            for path in ("v1/questions", "v1/outputs", "v1/heard", "metrics", "v1/engine"):
                assert client.get(path).status_code == 200, path
            asked = {"question": "siren", "on": 0.9, "off": 0.5}
            assert client.get("v1/what-if", params=asked).status_code == 200
        server.stop()
