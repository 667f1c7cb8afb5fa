"""replay and mic at the shell: their lines, their exit codes, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from listen_edge.audio import read_audio
from listen_edge.cli.root import cli, main

RATE = 16_000


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """Six seconds of a quiet room, the example siren, ten seconds of the room."""
    rng = np.random.default_rng(0)
    quiet = rng.normal(0, 1e-3, 16 * RATE).astype(np.float32)
    siren = read_audio(tiny_folder / "clips/siren.ogg")
    path = tmp_path_factory.mktemp("scene") / "scene.wav"
    soundfile.write(path, np.concatenate([quiet[: 6 * RATE], siren, quiet[6 * RATE :]]), RATE)
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=True)


def shell(*arguments: str, stdin: bytes = b"", script: str = '"$@"') -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "listen_edge", *arguments]
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}", "bash", *command],
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_replay_prints_every_answer_and_the_event(scene: Path) -> None:
    result = run("replay", str(scene), "--ask", "siren?", "--ask", "dog?", "--format", "jsonl")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    answers = [line for line in lines if line["type"] == "answer"]
    start, end = (line for line in lines if line["type"] == "event")
    assert len(answers) == 2 * 17 and {line["source"] for line in lines} == {"scene.wav"}
    assert (start["phase"], end["phase"], end["reason"]) == ("start", "end", "not_heard")
    assert start["question"] == "siren?" and 5.0 <= start["start_s"] <= 9.0
    assert set(start) == {
        "v", "type", "ts", "source", "question", "concept", "phase", "start_s", "duration_s",
        "peak_presence", "notice", "reason", "clip", "bundle",
    }  # fmt: skip


def test_text_tells_changes_alone(scene: Path) -> None:
    result = run("replay", str(scene), "--ask", "siren?")
    lines = result.stdout.splitlines()
    assert "EVENT start" in result.stdout and "EVENT end" in result.stdout
    assert lines[0].endswith("absent") and len(lines) < 10


def test_two_recordings_are_two_streams(scene: Path, tiny_folder: Path) -> None:
    dog = str(tiny_folder / "clips/dog.ogg")
    result = run("replay", str(scene), dog, "--ask", "dog?", "--format", "jsonl")
    sources = [json.loads(line)["source"] for line in result.stdout.splitlines()]
    assert list(dict.fromkeys(sources)) == ["scene.wav", "dog.ogg"]


@pytest.mark.parametrize("command", [["replay", "-"], ["mic", "--stdin"]])
def test_pcm_on_stdin_that_ends_in_mid_sample(scene: Path, command: list[str]) -> None:
    samples, _ = soundfile.read(scene, dtype="int16")
    pcm = samples[: 9 * RATE].tobytes()[:-1]  # ends within the siren, within a sample
    arguments = [*command, "--ask", "siren?", "--format", "jsonl", "--rate", "16000"]
    done = shell(*arguments, stdin=pcm)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["type"] in ("answer", "event", "health")
    heard = [line for line in lines if line["type"] == "answer" and line["presence"] is not None]
    assert heard[-1]["window_s"][1] == pytest.approx(9.0, abs=0.01)


def test_a_reader_of_one_line_ends_it_quietly(scene: Path) -> None:
    arguments = ["replay", str(scene), "--ask", "siren?", "--format", "jsonl"]
    done = shell(*arguments, script='"$@" | head -1')
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1


def test_a_full_disk_stops_no_event(scene: Path, tmp_path: Path) -> None:
    """No file may grow beyond 1 KiB, as on a disk that has no more."""
    clips = tmp_path / "clips"
    arguments = ["replay", str(scene), "--ask", "siren?", "--format", "jsonl"]
    arguments += ["--save-clips", str(clips), "--threads", "2"]
    done = shell(*arguments, script='trap "" XFSZ; ulimit -f 1; "$@"')
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["phase"] for line in lines if line["type"] == "event"] == ["start", "end"]
    (message,) = (line["message"] for line in lines if line["type"] == "health")
    assert "not saved (File too large)" in message
    assert not list(clips.iterdir())


def test_clips_are_kept_only_when_asked(scene: Path, tmp_path: Path) -> None:
    result = run("replay", str(scene), "--ask", "siren?", "--save-clips", str(tmp_path / "clips"))
    assert result.exit_code == 0
    (clip,) = (tmp_path / "clips").iterdir()
    siren = read_audio(clip)
    assert 8 * RATE < len(siren) < 21 * RATE and np.abs(siren).max() > 0.1


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--confirm", "3/2"], 1, "--confirm 3/2"),
        (["--confirm", "two"], 2, "expected K/N"),
        (["--end-after", "0.5"], 1, "--end-after 0.5 is shorter than --hop 1"),
        (["--hop", "9"], 1, "--hop 9"),
        (["--on", "0.5", "--off", "0.6"], 1, "0 < off <= on < 1"),
        (["--long-event", "3"], 1, "--long-event 3"),
        (["--stall-timeout", "0"], 1, "--stall-timeout 0"),
        (["--thresholds", "nothing.json"], 1, "nothing.json: no such file"),
        (["--save-clips", "/dev/null/clips"], 1, "--save-clips /dev/null/clips"),
        (["--ask", "?"], 1, "names no sound"),
    ],
)
def test_what_cannot_be_is_refused_at_the_start(
    scene: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    options: list[str], code: int, says: str,
) -> None:  # fmt: skip
    arguments = ["listen-edge", "replay", str(scene), "--ask", "siren?", *options]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    assert exit_.value.code == code and says in captured.err and not captured.out


def test_an_error_is_a_line_of_the_contract_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "nothing.wav")
    arguments = ["listen-edge", "replay", path, "--ask", "siren?", "--format", "jsonl"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    error = json.loads(captured.out)
    assert exit_.value.code == 1 and error["type"] == "error"
    assert error["message"].endswith("nothing.wav: no such file") and error["v"] == 1


def test_sources_of_mic_exclude_each_other() -> None:
    result = run("mic", "--ask", "siren?", "--stdin", "--url", "rtsp://camera/1")
    assert result.exit_code == 2 and "exclude each other" in result.output
