"""The command as a user runs it: real processes, one clear line per mistake."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from listen_edge.bundle.opening import open_bundle

COMMAND = [sys.executable, "-m", "listen_edge"]


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options
    )  # type: ignore[call-overload, no-any-return]


def _fails_in_one_line(done: subprocess.CompletedProcess[str], expected: str) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("listen-edge: ") and expected in done.stderr


@pytest.fixture(scope="module")
def siren(tiny_folder: Path) -> Path:
    return tiny_folder / "clips/siren.ogg"


def test_help_names_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("ask", "alarms", "bench", "devices", "doctor", "eval", "mic", "replay",
                    "synthesize", "train", "tune"):  # fmt: skip
        assert f"\n  {command} " in done.stdout


def test_onnxruntime_is_told_to_report_to_nobody(siren: Path, tmp_path: Path) -> None:
    """Its telemetry would leave a device id in the user's cache, and send it."""
    cache = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "ORT_DISABLE_TELEMETRY": "0"}
    assert run("ask", siren, "--ask", "siren?", env=cache).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["listen-edge"]


def test_ask_prints_a_line_per_file_and_question(siren: Path) -> None:
    dog = siren.with_name("dog.ogg")
    done = run("ask", siren, dog, "--ask", "siren?", "--ask", "dog?", "--format", "jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    states = [(a["source"], a["question"], a["state"]) for a in answers]
    assert states == [
        ("siren.ogg", "siren?", "present"),
        ("siren.ogg", "dog?", "absent"),
        ("dog.ogg", "siren?", "absent"),
        ("dog.ogg", "dog?", "present"),
    ]


def test_ask_each_window(siren: Path, tmp_path: Path) -> None:
    samples, rate = soundfile.read(siren)
    soundfile.write(tmp_path / "long.wav", np.concatenate([samples, samples]), rate)
    done = run("ask", tmp_path / "long.wav", "--ask", "siren?", "--each-window", "--format=jsonl")
    assert [json.loads(line)["window_s"][0] for line in done.stdout.splitlines()] == [
        0, 1, 2, 3, 4, 5,
    ]  # fmt: skip


def test_exit_code_is_grep_like(siren: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(80_000), 16_000)
    assert run("ask", siren, "--ask", "siren?", "--exit-code").returncode == 0
    assert run("ask", siren, "--ask", "rooster?", "--exit-code").returncode == 1
    silence = run("ask", tmp_path / "silence.wav", "--ask", "siren?", "--exit-code")
    assert silence.returncode == 3
    assert "unknown (silent_input)" in silence.stdout


def test_a_closed_stdout_is_no_error(siren: Path) -> None:
    questions = " ".join(f"--ask 'sound {k}'" for k in range(5))
    line = f"{sys.executable} -m listen_edge ask {siren} {questions} | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def _nan(path: Path) -> None:
    soundfile.write(path, np.full(16_000, np.nan), 16_000, "FLOAT")


def _cut(path: Path) -> None:
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 80_000), 16_000)
    path.write_bytes(path.read_bytes()[:40_000])


def _silence(n_samples: int) -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, np.zeros(n_samples), 16_000)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, "no such file"),
        (Path.touch, "the file is empty"),
        (Path.mkdir, "no recordings there"),
        (lambda path: path.write_text("no audio\n" * 99), "cannot be decoded"),
        (_cut, "truncated"),
        (_nan, "16000 samples are NaN or infinite"),
        (_silence(0), "0 samples"),
        (_silence(1), "1 samples"),
        (_silence(200), "200 samples"),
    ],
    ids=["missing", "empty", "folder", "text", "truncated", "nan", "0", "1", "200"],
)
def test_bad_recordings(
    tmp_path: Path, siren: Path, make: Callable[[Path], None], expected: str
) -> None:
    path = tmp_path / "bad.wav"
    make(path)
    done = run("ask", path, siren, "--ask", "siren?")
    assert done.returncode == 1
    assert done.stdout.startswith("siren.ogg") and done.stdout.count("\n") == 1  # it goes on
    assert done.stderr.startswith(f"listen-edge: {path}: {expected}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("rate", "n_channels", "subtype"),
    [
        (8_000, 1, "PCM_16"),
        (44_100, 2, "PCM_16"),
        (96_000, 1, "PCM_24"),
        (48_000, 2, "FLOAT"),
    ],
)
def test_recordings_of_any_form_are_answered(
    siren: Path, tmp_path: Path, rate: int, n_channels: int, subtype: str
) -> None:
    samples, native = soundfile.read(siren)
    import soxr

    resampled = soxr.resample(samples, native, rate)
    path = tmp_path / "siren.wav"
    soundfile.write(path, np.stack([resampled] * n_channels, axis=1), rate, subtype)
    done = run("ask", path, "--ask", "siren?", "--exit-code")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("question", "expected"), [("", "is empty"), ("dog " * 500, "500 words")])
def test_bad_questions(siren: Path, question: str, expected: str) -> None:
    _fails_in_one_line(run("ask", siren, "--ask", question), expected)


def test_usage_errors_exit_with_2(siren: Path) -> None:
    for arguments in (["ask", siren], ["ask", "--ask", "siren?"], ["listen"], ["ask", "--fast"]):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Usage" in done.stderr


def test_impossible_thresholds_and_backends(siren: Path) -> None:
    _fails_in_one_line(
        run("ask", siren, "--ask", "siren?", "--on", "0.3", "--off", "0.5"), "0 < off <= on < 1"
    )
    _fails_in_one_line(run("ask", siren, "--ask", "siren?", "--backend", "cuda"), "backend cuda")


def test_bundle_info_and_verify(tiny_folder: Path, tmp_path: Path) -> None:
    info = json.loads(run("bundle", "info").stdout)
    assert info["folder"] == str(tiny_folder) and info["name"] == "tiny"
    done = run("bundle", "verify", "tiny", "--run")
    assert done.returncode == 0, done.stderr
    assert "answers about the examples are as recorded" in done.stdout
    shutil.copytree(tiny_folder, tmp_path / "copy")
    (tmp_path / "copy/encoder.int8.onnx").write_bytes(b"")
    _fails_in_one_line(run("bundle", "verify", tmp_path / "copy"), "differ from the manifest")


def test_verify_run_notices_other_answers(tiny_folder: Path, tmp_path: Path) -> None:
    from listen_edge.bundle.hashes import sha256_of
    from listen_edge.bundle.manifest import MANIFEST

    shutil.copytree(tiny_folder, tmp_path / "copy")
    expected = tmp_path / "copy/expected.json"
    entries = json.loads(expected.read_text())
    entries[0]["presence"] = 1 - entries[0]["presence"]
    expected.write_text(json.dumps(entries))
    raw = json.loads((tmp_path / "copy" / MANIFEST).read_text())
    for file in raw["files"]:
        if file["role"] == "expected":
            file.update(sha256=sha256_of(expected), bytes=expected.stat().st_size)
    (tmp_path / "copy" / MANIFEST).write_text(json.dumps(raw))
    done = run("bundle", "verify", tmp_path / "copy", "--run")
    assert done.returncode == 1
    assert "this device answers otherwise" in done.stderr


def test_eval_esc50_prints_a_table_and_json(esc50_folder: Path, tmp_path: Path) -> None:
    arguments = ["eval", "esc50", esc50_folder, "--absent", "random"]
    table = run(*arguments)
    assert table.returncode == 0, table.stderr
    rows = [line.split()[0] for line in table.stdout.splitlines()[2:]]
    assert {"auroc", "f1_no", "yes_rate", "ece", "tpr_at_fpr_1pct"} <= set(rows)
    (report,) = json.loads(run(*arguments, "--format", "json").stdout)["reports"]
    assert report["n_clips"] == 3 and report["metrics"]["n_questions"] == 6
    _fails_in_one_line(run("eval", "esc50", tmp_path), "expected the ESC-50 data set")


def test_a_full_disk_is_one_line_and_leaves_nothing(
    whisper_checkpoint: Path, llama_gguf: Path, esc50_folder: Path, siren: Path, tmp_path: Path
) -> None:
    """Writes past 20 kB fail, as on a full disk, in training and in requantising."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    small = {"window_s": 1.0, "n_mixed": 0, "warm_steps": 2, "steps": 2, "taps": [1, 2]}
    done = run(
        "train", "--whisper", whisper_checkpoint, "--llm", llama_gguf,
        "--data", f"esc50:{esc50_folder}", "--out", tmp_path / "run", "--config", json.dumps(small),
        preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("listen-edge: ") and "cannot be written" in last
    left = [p.name for p in tmp_path.rglob("*") if p.is_file()]
    assert left in ([], ["config.json"])
    cache = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = run("ask", siren, "--ask", "siren?", preexec_fn=limit, env=cache)
    _fails_in_one_line(done, "the LLM cannot be written there; free some space")
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


def test_a_full_disk_leaves_no_half_written_llm(tmp_path: Path) -> None:
    source = open_bundle("tiny").gguf_path
    done = run(
        "export", "llm", source, "--out", tmp_path / "llm.gguf",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )  # fmt: skip
    _fails_in_one_line(done, "could not quantise")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    """Else the corrected command would be told that the folder holds another run."""
    done = run(
        "train", "--whisper", "base", "--llm", tmp_path / "missing.gguf",
        "--data", f"esc50:{tmp_path}", "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 1 and "missing.gguf" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_unknown_fields_of_a_config_are_refused(tmp_path: Path) -> None:
    done = run(
        "train", "--whisper", "base", "--llm", "x.gguf", "--data", f"esc50:{tmp_path}",
        "--out", tmp_path / "run", "--config", '{"learning_rate": 1}',
    )  # fmt: skip
    assert done.returncode == 1
    assert "TrainConfig has no field learning_rate" in done.stderr


def test_bench_prints_every_stage() -> None:
    done = run("bench", "--repeats", 1, "--format", "json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    for name in (
        "encode_ms",
        "window_8_questions_ms",
        "llm_per_extra_question_ms",
        "ask_8_questions_peak_mb",
        "start_to_first_answer_s",
        "help_s",
    ):
        assert figures[name] > 0
