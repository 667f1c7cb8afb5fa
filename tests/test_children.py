"""What the programs that we start are told of our environment: nothing that is secret."""

from __future__ import annotations

import ast
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from listen_edge.audio import read_audio
from listen_edge.audio.ffmpeg import _VARIABLES
from listen_edge.errors import AudioError
from listen_edge.runtime.sources.ffmpeg import FfmpegSource
from listen_edge.runtime.sources.microphone import input_devices
from tests.streams import read_all
from tests.test_sizes import ROOT

SECRETS = ("LISTEN_EDGE_WEB__TOKEN", "LISTEN_EDGE_API_KEY", "LISTEN_EDGE_SOURCES__0__URL")


@pytest.fixture()
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file into which a program named ffmpeg, that PATH finds, writes its environment."""
    program = tmp_path / "bin/ffmpeg"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nenv >{tmp_path}/env\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    for name in (*SECRETS, "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("PULSE_SERVER", "/run/user/1000/pulse/native")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:3128")
    return tmp_path / "env"


@pytest.mark.parametrize("kind", ["recording", "stream"])
def test_ffmpeg_is_told_of_no_secret(told: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(2000))
    with suppress(AudioError):  # it gives no sound
        if kind == "stream":
            read_all(FfmpegSource("http://127.0.0.1:9/a.aac"))
        else:
            read_audio(tmp_path / "a.m4a")
    assert "hunter2" not in told.read_text()
    names = {line.partition("=")[0] for line in told.read_text().splitlines()}
    assert {"PATH", "https_proxy"} <= names <= {*_VARIABLES, "PWD", "_"}


def test_the_capture_process_knows_the_session_and_no_secret_of_ours(
    told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(told.parent / "bin/ffmpeg"))
    with pytest.raises(AudioError, match="the capture process ended"):
        input_devices()
    environment = told.read_text().splitlines()
    assert "PULSE_SERVER=/run/user/1000/pulse/native" in environment
    assert "PYTHONSAFEPATH=1" in environment
    assert not [line for line in environment if line.startswith("LISTEN_EDGE_")]


@pytest.mark.parametrize("folder", ["listen_edge", "runtime", "train", "export"])
def test_no_program_is_started_with_all_that_we_know(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("subprocess."):
                keys = {keyword.arg for keyword in node.keywords}
                assert "env" in keys, f"{path.name}:{node.lineno}"
