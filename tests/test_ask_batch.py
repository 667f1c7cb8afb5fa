"""Many recordings at once: answered as they come, each by its name, and a bad one ends nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import soundfile

from listen_edge.cli import main

LISTEN_EDGE = [sys.executable, "-m", "listen_edge"]
NAMES = {
    b"new\nline.wav": r"new\nline.wav",
    b"esc\x1b[31m.wav": r"esc\x1b[31m.wav",
    b"byte\xff.wav": r"byte\xff.wav",
    b"tab\t.wav": r"tab\t.wav",
    "right\u202eto left.wav".encode(): r"right\u202eto left.wav",
    "é日.wav".encode(): "é日.wav",
    b" .wav": " .wav",
}


Asking = Callable[..., "Done"]


@pytest.fixture()
def clips(tmp_path: Path, tiny_folder: Path) -> Path:
    """A folder with siren.wav, dog.flac, deeper/baby.ogg, two that are bad, and a text."""
    source = tiny_folder / "clips"
    (tmp_path / "deeper").mkdir()
    soundfile.write(tmp_path / "siren.wav", *soundfile.read(source / "siren.ogg"))
    soundfile.write(tmp_path / "dog.flac", *soundfile.read(source / "dog.ogg"))
    soundfile.write(tmp_path / "deeper/baby.ogg", *soundfile.read(source / "crying_baby.ogg"))
    whole = (tmp_path / "siren.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:50_000])
    (tmp_path / "deeper/empty.mp3").touch()
    (tmp_path / "notes.txt").write_text("not a recording")
    return tmp_path


class Done(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture()
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asking:
    """Run the command in this process."""

    def run(*arguments: str | Path) -> Done:
        words = ["listen-edge", "ask", *map(str, arguments), "--ask", "siren?"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            main()
        return Done(int(end.value.code or 0), *capsys.readouterr())

    return run


def shell(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a script of bash, in which $ASK asks for a siren, with arguments $1 ..."""
    command = ["bash", "-c", script, "bash", *map(str, arguments)]
    environment = {**os.environ, "ASK": " ".join([*LISTEN_EDGE, "ask", "--ask", "siren?"])}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment, check=False
    )


def rows(result: Done) -> list[tuple[str, str]]:
    """Return (source, state) of each answer, and ("error", file) of each error."""
    found = []
    for line in map(json.loads, result.stdout.splitlines()):
        if line["type"] == "error":
            found.append(("error", line["message"].partition(": ")[0]))
        else:
            found.append((line["source"], line["state"]))
    return found


def test_bad_recordings_among_good_ones_are_a_line_each(clips: Path, ask: Asking) -> None:
    names = ("cut.wav", "dog.flac", "nothing.wav", "siren.wav")
    result = ask(*(clips / name for name in names), "--format", "jsonl")
    assert result.exit_code == 1
    assert rows(result) == [
        ("error", f"{clips}/cut.wav"),
        ("dog.flac", "absent"),
        ("error", f"{clips}/nothing.wav"),
        ("siren.wav", "present"),
    ]
    errors = result.stderr.splitlines()
    assert errors[0].startswith(f"listen-edge: {clips}/cut.wav: truncated: holds 1.6 of 5.0 s")
    assert errors[1] == f"listen-edge: {clips}/nothing.wav: no such file or directory"
    assert len(errors) == 2


def test_a_folder_is_all_below_it_by_names_within_it(clips: Path, ask: Asking) -> None:
    result = ask(clips, "--format", "jsonl")
    assert result.exit_code == 1
    assert rows(result) == [
        ("error", f"{clips}/cut.wav"),
        ("deeper/baby.ogg", "absent"),
        ("error", f"{clips}/deeper/empty.mp3"),
        ("dog.flac", "absent"),
        ("siren.wav", "present"),
    ]
    left_out = "1 of 6 files are no recordings and are left out: notes.txt"
    assert f"{clips}: {left_out}" in result.stderr.splitlines()


def test_a_folder_without_recordings_is_an_error_and_the_next_is_answered(
    clips: Path, ask: Asking
) -> None:
    (clips / "none").mkdir()
    result = ask(clips / "none", clips / "siren.wav", "--format", "jsonl")
    assert result.exit_code == 1
    assert rows(result) == [("error", f"{clips}/none"), ("siren.wav", "present")]


@pytest.mark.parametrize(
    ("names", "plain", "like_grep"),
    [
        (["siren.wav"], 0, 0),
        (["dog.flac"], 0, 1),
        (["dog.flac", "siren.wav"], 0, 0),
        (["silent.wav"], 0, 3),
        (["dog.flac", "silent.wav"], 0, 3),
        (["cut.wav"], 1, 3),
        (["dog.flac", "cut.wav"], 1, 3),
        (["siren.wav", "cut.wav"], 1, 0),
    ],
)
def test_the_exit_code_tells(
    clips: Path, ask: Asking, names: list[str], plain: int, like_grep: int
) -> None:
    soundfile.write(clips / "silent.wav", [0.0] * 80_000, 16_000)
    paths = [clips / name for name in names]
    assert ask(*paths).exit_code == plain
    assert ask(*paths, "--exit-code").exit_code == like_grep


def test_the_first_answer_comes_before_the_second_file_is_opened(clips: Path) -> None:
    fifo = clips / "later.wav"
    os.mkfifo(fifo)
    command = [*LISTEN_EDGE, "ask", clips / "siren.wav", fifo, "--ask", "siren?"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("siren.wav ")  # while nobody writes
        fifo.write_bytes((clips / "siren.wav").read_bytes())
        assert process.stdout.readline().startswith("later.wav ")
        assert process.stdout.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("script", "clip", "name"),
    [
        ('$ASK - < "$1"', "siren.wav", "-"),
        ('cat "$1" | $ASK -', "siren.m4a", "-"),
        ('cat "$1" | $ASK /dev/stdin', "siren.wav", "stdin"),
        ('$ASK <(cat "$1")', "siren.wav", ""),  # /dev/fd/63 or another
    ],
)
def test_a_recording_through_a_pipe(clips: Path, script: str, clip: str, name: str) -> None:
    if clip.endswith("m4a"):
        command = ["ffmpeg", "-loglevel", "error", "-i", clips / "siren.wav", clips / clip]
        subprocess.run(command, check=True)
    done = shell(script, clips / clip)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(name) and done.stdout.endswith("  present\n")
    assert done.stdout.count("\n") == 1


def test_nothing_on_stdin_is_one_line(clips: Path) -> None:
    assert shell("$ASK - < /dev/null").stderr == "listen-edge: -: the file is empty\n"
    closed = shell("$ASK - <&-")
    assert closed.stderr.startswith("listen-edge: -: standard input is closed; pipe a recording")
    assert (closed.returncode, closed.stdout, closed.stderr.count("\n")) == (1, "", 1)


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_any_name_and_question_is_one_line(clips: Path, ask: Asking, form: str) -> None:
    folder = clips / "names"
    folder.mkdir()
    for name in NAMES:
        (folder / os.fsdecode(name)).write_bytes((clips / "siren.wav").read_bytes())
    (folder / os.fsdecode(b"bad\n\xff.wav")).touch()
    result = ask(folder, "--ask", "dog\nbarking?", "--format", form)
    assert result.exit_code == 1
    assert result.stderr == f"listen-edge: {folder}/bad\\n\\xff.wav: the file is empty\n"
    lines = result.stdout.splitlines()
    answers = [line for line in lines if '"error"' not in line]
    assert len(answers) == 2 * len(NAMES) and len(lines) - len(answers) == (form == "jsonl")
    assert result.stdout.count("\n") == len(lines) and "\x1b" not in result.stdout
    if form == "text":
        begins = sorted(line[:24].rstrip() for line in lines[::2])
        assert begins == sorted(name[:24].rstrip() for name in NAMES.values())
        assert all(r" dog\nbarking? " in line for line in lines[::2])
    else:
        sources = {json.loads(line)["source"] for line in answers}
        assert sources == set(NAMES.values())
