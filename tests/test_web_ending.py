"""How the web interface ends: in time, in order, and without a word of it in the log."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from listen_edge.runtime.service.web import serve
from tests.web_client import serving


def test_it_ends_in_time_with_clients_that_look_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "_TICK_S", 60.0)  # it is told, and does not find out
    with serving(tmp_path) as served, served.client.stream("GET", "v1/stream") as response:
        lines = response.iter_lines()
        next(lines)
        done = threading.Thread(target=served.server.stop)
        done.start()
        assert list(lines) == [""]  # it is ended, not cut: that would be an error here
        done.join(3.0)
        assert not done.is_alive()
        assert not [thread for thread in threading.enumerate() if thread.name == "web"]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
