"""The container of the service, as far as it can be tried without Docker."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
COMPOSE = ROOT / "docker/compose.yaml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return content


@pytest.fixture(scope="module")
def service(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]["listen-edge"]
    return found


def _here(path: str) -> Path:
    return COMPOSE.parent / path


def test_what_it_is_made_of_is_there(compose: dict[str, Any], service: dict[str, Any]) -> None:
    context = _here(service["build"]["context"])
    assert (context / service["build"]["dockerfile"]).is_file()
    for volume in service["volumes"]:
        if isinstance(volume, str):
            assert volume.partition(":")[0] in compose["volumes"]
        elif volume["source"].startswith("."):
            assert _here(volume["source"]).is_file()
    assert service["secrets"] == list(compose["secrets"])


def test_it_can_write_to_its_state_alone(service: dict[str, Any]) -> None:
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and "privileged" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    named = [volume.partition(":")[2] for volume in service["volumes"] if isinstance(volume, str)]
    image = (ROOT / "Dockerfile").read_text()
    assert set(image.partition("VOLUME ")[2].splitlines()[0].split()) == set(named)
    for folder in named:  # what the image gives to its user, a new volume gives as well
        assert f" {folder} \\\n" in image or f" {folder}\n" in image
    bound = {v["target"]: v for v in service["volumes"] if not isinstance(v, str)}
    assert all(v.get("read_only") for target, v in bound.items() if target != "/dev/snd")


def test_only_this_machine_reaches_it(service: dict[str, Any]) -> None:
    listens = yaml.safe_load(_here("listen.yaml").read_text())["web"]
    port = listens["listen"].rpartition(":")[2]
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f":{port}/healthz" in service["healthcheck"]["test"][-1]
    assert listens["token_file"] == f"/run/secrets/{service['secrets'][0]}"


class _Alive(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture()
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Alive) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_the_health_check_tells_the_living_from_the_dead(
    service: dict[str, Any], port: int
) -> None:
    _, program, *words, code = service["healthcheck"]["test"]
    assert program == "python3"

    def check(path: str, at: int) -> int:
        asked = code.replace("8765", str(at)).replace("/healthz", path)
        done = subprocess.run([sys.executable, *words, asked], capture_output=True)
        return done.returncode

    assert (check("/healthz", port), check("/other", port), check("/healthz", 1)) == (0, 1, 1)
