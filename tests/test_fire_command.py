"""test-fire: every output of a config is tried, without a microphone or an engine."""

from __future__ import annotations

import json
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from listen_edge.cli.root import cli
from tests.http_receiver import Receiver, answered, receiver

_CONFIG = """
sources:
  - {{id: kitchen, file: a.wav, questions: ["siren?", "dog barking?"]}}
  - {{id: porch, file: b.wav, questions: ["doorbell?"]}}
outputs:
  lines: {{path: {folder}/told.jsonl}}
  webhooks:
    - {{id: phone, url: "{url}", secret: a-shared-secret, allow_private: true}}
  commands:
    - {{id: lamp, run: [{folder}/lamp]}}
"""


@pytest.fixture()
def peer() -> Iterator[Receiver]:
    with receiver() as peer:
        yield peer


@pytest.fixture()
def config(tmp_path: Path, peer: Receiver) -> Path:
    lamp = tmp_path / "lamp"
    lamp.write_text(f"#!/bin/sh\necho $LISTEN_EDGE_EVENT_PHASE >> {tmp_path}/phases\n")
    lamp.chmod(lamp.stat().st_mode | stat.S_IXUSR)
    path = tmp_path / "listen.yaml"
    path.write_text(_CONFIG.format(folder=tmp_path, url=peer.url))
    path.chmod(0o600)
    return path


def _fire(config: Path, *options: str) -> Result:
    return CliRunner().invoke(
        cli, ["test-fire", "--config", str(config), *options], standalone_mode=False
    )


def test_every_output_gets_the_begin_and_the_end(config: Path, peer: Receiver) -> None:
    result = _fire(config)
    assert result.return_value == 0, result.output
    said = re.sub(r"\d+\.\d\d", "T", result.stdout).splitlines()
    assert said == [
        "lines: taken after T s", "webhook:phone: taken after T s", "command:lamp: taken after T s",
    ]  # fmt: skip
    lines = [json.loads(line) for line in (config.parent / "told.jsonl").read_text().splitlines()]
    assert [(line["phase"], line["is_test"]) for line in lines] == [("start", True), ("end", True)]
    assert (lines[0]["source"], lines[0]["concept"]) == ("kitchen", "siren")
    assert [json.loads(request.body) for request in peer.requests] == lines
    assert (config.parent / "phases").read_text() == "start\nend\n"


def test_one_that_fails_is_told_and_the_others_are_tried(config: Path, peer: Receiver) -> None:
    peer.behave = answered(403)
    result = _fire(config)
    assert result.return_value == 1
    said = result.stdout.splitlines()
    assert said[1] == f"webhook:phone: failed: 127.0.0.1:{peer.port}: HTTP 403"
    assert said[2].startswith("command:lamp: taken")
    assert not any(secret in result.output for secret in ("a-shared", "s3cret", "t0ken"))


def test_one_may_be_chosen_and_what_it_is_told(config: Path, peer: Receiver) -> None:
    result = _fire(
        config, "--output", "webhook:phone", "--source", "porch", "--question", "doorbell"
    )
    assert result.return_value == 0 and len(result.stdout.splitlines()) == 1
    told = json.loads(peer.requests[0].body)
    assert (told["source"], told["question"], told["ask"]) == ("porch", "doorbell", "doorbell?")
    assert not (config.parent / "told.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--output", "phone"), "--output 'phone': .* expected one of lines, webhook:phone, comm"),
        (("--source", "attic"), "--source 'attic': .* expected one of kitchen, porch$"),
        (("--question", "cat"), "--question 'cat': .* expected one of siren, dog-barking, doorb"),
        (("--source", "porch", "--question", "siren"), "'siren': .* expected one of doorbell$"),
    ],
)
def test_what_there_is_none_of_is_named(config: Path, options: list[str], told: str) -> None:
    result = _fire(config, *options)
    assert result.exception is not None
    assert re.search(told, str(result.exception))


def test_no_output_at_all_is_an_error(config: Path) -> None:
    config.write_text("sources: [{id: a, file: a.wav, questions: [siren]}]\noutputs: {lines: null}")
    assert "outputs: there are none" in str(_fire(config).exception)


def test_no_microphone_and_no_model_is_touched(config: Path) -> None:
    script = (
        "import sys\nfrom listen_edge.cli.root import cli\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
        "assert not {'llama_cpp', 'onnxruntime', 'sounddevice'} & set(sys.modules)"
    )
    arguments = ["test-fire", "--config", str(config)]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_closed_port_is_told_at_once(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    text = config.read_text()
    config.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", text))
    result = _fire(config, "--output", "webhook:phone")
    assert result.return_value == 1 and "no connection (Connection refused)" in result.stdout
