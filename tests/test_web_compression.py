"""What is sent compressed, and what must not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web_client import serving

PACKED = ("", "page/page.js", "page/page.css", "openapi.json", "docs")


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_what_a_page_load_consists_of_is_compressed_for_who_takes_it(
    tmp_path: Path, encoding: str
) -> None:
    with serving(tmp_path) as served:
        for presence in [0.1, 0.97, 0.98] * 50:
            served.service.hear("kitchen", "siren", presence)
        for path in (*PACKED, "v1/history?source=kitchen&question=siren"):
            reply = served.client.get(path, headers={"Accept-Encoding": encoding})
            assert reply.headers.get("content-encoding", "identity") == encoding, path
            assert reply.headers["vary"] == "Accept-Encoding"
            n_sent = int(reply.headers["content-length"])
            assert n_sent == reply.num_bytes_downloaded
            assert (n_sent < 0.6 * len(reply.content)) == (encoding == "gzip"), path
            assert reply.headers["x-content-type-options"] == "nosniff"


def test_streams_and_the_bytes_of_a_clip_come_as_they_are(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        for presence in (0.1, 0.97, 0.98, 0.1):
            served.service.hear("kitchen", "siren", presence)
        (event,) = served.service.store.events(limit=1)
        whole = served.client.get(f"v1/events/{event.id}/clip")
        part = served.client.get(f"v1/events/{event.id}/clip", headers={"Range": "bytes=10-1999"})
        assert part.status_code == 206 and part.content == whole.content[10:2000]
        with served.client.stream("GET", "v1/stream") as stream:
            assert next(stream.iter_lines()).startswith("retry")
            for reply in (whole, part, stream):
                assert "content-encoding" not in reply.headers
