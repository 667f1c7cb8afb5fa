"""The commands about configurations, and the page that documents every key."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from listen_edge.bundle.opening import read_manifest
from listen_edge.cli import main
from listen_edge.runtime.service.config.asked import asked_of
from listen_edge.runtime.service.config.files import starting_point
from listen_edge.runtime.service.config.presets import PRESETS
from listen_edge.runtime.service.config.reading import read_config
from tests import config_keys

SOURCE = "sources: [{id: a, device: default}]\n"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own configuration out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


def _run(
    *arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["listen-edge", "config", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    return int(str(end.value.code or 0)), out, err


def test_a_configuration_to_begin_with_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run("init", monkeypatch=monkeypatch, capsys=capsys)
    assert (code, err) == (0, "") and out.startswith("listen-edge.yaml: ")
    code, out, err = _run("check", monkeypatch=monkeypatch, capsys=capsys)
    assert (code, err) == (0, "")
    assert out.startswith("listen-edge.yaml: 1 source, 8 questions, bundle tiny@sha256:")
    config = read_config(Path("listen-edge.yaml"), {}).config
    assert {one.id for one in asked_of(config)} == {one.id for one in PRESETS["safety"]}
    assert config.web is not None and config.web.is_loopback and config.events.clips is None


def test_what_is_commented_out_can_be_used_too(tmp_path: Path) -> None:
    path = tmp_path / "listen.yaml"
    lines = starting_point().splitlines()
    heads = tuple(f"# {key}:" for key in ("questions", "defaults", "events", "outputs"))
    keys = [k for k, line in enumerate(lines) if line.startswith(heads)]
    assert len(keys) == 4
    for k in keys:
        while lines[k].startswith("# "):
            lines[k] = lines[k].removeprefix("# ")
            k += 1
    path.write_text("\n".join(lines))
    for name in ("mqtt-password", "hook-secret"):
        (tmp_path / name).write_text("0123456789abcdef")
        (tmp_path / name).chmod(stat.S_IRUSR)
    config = read_config(path, {}).config
    assert len(config.questions) == 2 and config.outputs.mqtt and config.outputs.webhooks


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "folder"])
def test_nothing_is_overwritten(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, other = tmp_path / "listen.yaml", tmp_path / "other"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(other)
        if kind == "link":
            other.write_text("mine")
    code, out, err = _run("init", str(path), monkeypatch=monkeypatch, capsys=capsys)
    assert (code, out) == (1, "")
    assert err == f"listen-edge: {path}: is there already, and kept\n"
    assert kind != "file" or path.read_text() == "mine"
    assert other.exists() == (kind == "link")


def test_problems_are_lines_on_stderr_and_one_is_the_error_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.yaml").write_text(SOURCE + "thread: 2\nhop: fast\n")
    for command in ("check", "show"):
        code, out, err = _run(command, "x.yaml", monkeypatch=monkeypatch, capsys=capsys)
        assert (code, out) == (1, "")
        assert err.splitlines() == [
            'x.yaml:2:1: thread: unknown key; did you mean "threads"?',
            'x.yaml:3:1: hop: expected a number; found "fast"',
            "listen-edge: x.yaml: 2 problems",
        ]
    Path("x.yaml").write_text(SOURCE + "hop: fast\n")
    code, out, err = _run("check", "x.yaml", monkeypatch=monkeypatch, capsys=capsys)
    assert (code, err) == (1, 'listen-edge: x.yaml:2:1: hop: expected a number; found "fast"\n')


def test_what_is_in_force_is_shown_with_warnings_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.yaml").write_text(SOURCE + "web: {token_file: token}\npresets: [safety]\n")
    Path("token").write_text("hunter2hunter2hunter2")
    Path("token").chmod(0o644)
    monkeypatch.setenv("LISTEN_EDGE_HOP", "2")
    code, out, err = _run("show", "x.yaml", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0 and "hunter2" not in out + err
    assert "\nhop: 2  # LISTEN_EDGE_HOP\n" in out
    assert f'\n  token: "***"  # file {tmp_path}/token\n' in out
    settings = read_manifest("tiny").events
    assert settings is not None
    siren = next(one for one in settings.by_concept if one.concept == "siren")
    shown = f"on {siren.on:g}  off {siren.off:g}"
    assert f'\n#   a  siren  "siren?"  {shown}  safety  (preset safety)\n' in out
    assert err == (
        "warning: x.yaml:2:7: web.token_file: mode 0644: others can read or change it; chmod 600\n"
    )


def test_nothing_heavy_is_needed_to_read_a_configuration(tmp_path: Path) -> None:
    """Nor anything but the extra: it is read on a machine that has no microphone yet."""
    Path("x.yaml").write_text(SOURCE)
    code = (
        "import sys; from listen_edge.cli.root import cli\n"
        "cli(['config', 'check', 'x.yaml'], standalone_mode=False)\n"
        "print(sorted({'onnxruntime', 'llama_cpp', 'torch', 'fastapi', 'paho'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_page_has_every_key() -> None:
    assert config_keys.documented() == config_keys.table(), "python -m tests.config_keys --write"
