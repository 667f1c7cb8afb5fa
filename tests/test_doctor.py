"""Every check of the doctor, well and ill: what it says, its status and its remedy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from listen_edge.cli.doctor import doctor as command
from listen_edge.errors import AudioError
from listen_edge.runtime import backends, encoder, threads, verify
from listen_edge.runtime import engine as engines
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening import pace
from listen_edge.runtime.measure import doctor, memory
from listen_edge.runtime.measure.doctor import Check
from listen_edge.runtime.sources import Block

RATE = 48_000
USB = {"index": 3, "name": "USB Audio: (hw:1,0)", "is_default": True}
NAMES = [
    "packages", "ffmpeg", "audio devices", "audio level", "backends", "threads", "bundle",
    "real-time margin", "memory",
]  # fmt: skip


class FakeSource:
    """Delivers blocks, then nothing, or an error."""

    name, is_live = "fake", True

    def __init__(self, blocks: Sequence[Block], error: AudioError | None = None) -> None:
        self.blocks, self.error, self.n_closed = list(blocks), error, 0

    def open(self) -> None:
        pass

    def read(self, timeout_s: float) -> Block | None:
        if self.blocks:
            return self.blocks.pop(0)
        if self.error is not None:
            raise self.error
        return None

    def close(self) -> None:
        self.n_closed += 1


def _tone(amplitude: float, seconds: float = 2.0) -> np.ndarray:
    """A sine of 1 kHz on two channels (n_frames, 2); of amplitude 1 it has -3.0 dBFS."""
    tone = amplitude * np.sin(2 * np.pi * 1000 * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([tone, tone], axis=1).astype(np.float32)


def _blocks(samples: np.ndarray, *, overflow_at: int | None = None) -> list[Block]:
    pieces = np.array_split(samples, len(samples) // (RATE // 10))
    return [Block(p, RATE, time.monotonic(), k == overflow_at) for k, p in enumerate(pieces)]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (_tone(0.1), ("ok", "-23.0 dBFS in 1.5 s at 48000 Hz, 2 channels", None)),
        (
            _tone(0),
            (
                "problem",
                "digital silence in 1.5 s at 48000 Hz, 2 channels; every answer would be unknown "
                "(silent_input)",
                "unmute or plug in the microphone, or choose another with --device",
            ),
        ),
        (
            np.where(_tone(1) >= 0, 1, -1).astype(np.float32),
            (
                "problem",
                "0.0 dBFS in 1.5 s at 48000 Hz, 2 channels; more than 5% of the samples are at "
                "full scale",
                "turn the gain down",
            ),
        ),
        (
            _tone(1e-4),
            ("warning", "-83.0 dBFS in 1.5 s at 48000 Hz, 2 channels", "turn the gain up"),
        ),
        (_tone(0.1, 0.5), ("ok", "-23.0 dBFS in 0.5 s at 48000 Hz, 2 channels", None)),
    ],
    ids=["normal", "silent", "clipped", "quiet", "stops after 0.5 s"],
)
def test_the_level_is_judged(
    monkeypatch: pytest.MonkeyPatch, samples: np.ndarray, expected: tuple[str, str, str | None]
) -> None:
    monkeypatch.setattr(doctor, "GIVE_UP_S", 0.5)
    source = FakeSource(_blocks(samples))
    assert doctor.check_level(source) == Check("audio level", *expected)  # type: ignore[arg-type]
    assert source.n_closed == 1


def test_the_level_is_that_of_the_mean_of_the_channels() -> None:
    one_sided = _tone(0.1) * np.array([1, 0], np.float32)  # 6.02 dB less on the mean
    assert doctor.check_level(FakeSource(_blocks(one_sided))).found.startswith("-29.0 dBFS")


def test_lost_samples_are_a_problem() -> None:
    check = doctor.check_level(FakeSource(_blocks(_tone(0.1), overflow_at=4)))
    assert (check.status, check.remedy) == ("problem", "stop what else keeps this device busy")
    assert check.found.endswith("2 channels; samples were lost")


def test_a_source_that_delivers_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "GIVE_UP_S", 0.2)
    source = FakeSource([])
    check = doctor.check_level(source)
    assert (check.status, check.found) == ("problem", "nothing was delivered in 0.2 s")
    assert check.remedy is not None and check.remedy.startswith("plug it in again")
    assert source.n_closed == 1


def test_a_source_that_is_lost_is_closed() -> None:
    source = FakeSource(_blocks(_tone(0.1, 0.3)), AudioError("USB: the device stopped"))
    with pytest.raises(AudioError, match="USB: the device stopped"):
        doctor.check_level(source)
    assert source.n_closed == 1


@pytest.mark.parametrize(
    ("installed", "status", "found", "remedy"),
    [
        (
            {"onnxruntime": "1.2", "llama-cpp-python": "0.3", "sounddevice": "0.5"},
            "ok",
            "onnxruntime 1.2, llama-cpp-python 0.3, sounddevice 0.5",
            None,
        ),
        (
            {"onnxruntime-gpu": "1.2", "llama-cpp-python": "0.3"},
            "problem",
            "onnxruntime-gpu 1.2, llama-cpp-python 0.3, no sounddevice",
            "pip install 'listen-edge[mic]'",
        ),
        (
            {"onnxruntime": "1.2", "onnxruntime-gpu": "1.3", "sounddevice": "0.5"},
            "problem",
            "onnxruntime 1.2, onnxruntime-gpu 1.3, no llama-cpp-python, sounddevice 0.5",
            "pip uninstall onnxruntime onnxruntime-gpu, and install one of them; "
            "pip install 'listen-edge'",
        ),
    ],
    ids=["all", "no sounddevice", "two onnxruntimes, no llama.cpp"],
)
def test_packages(
    monkeypatch: pytest.MonkeyPatch,
    installed: dict[str, str],
    status: str,
    found: str,
    remedy: str | None,
) -> None:
    def version(distribution: str) -> str:
        if distribution not in installed:
            raise PackageNotFoundError
        return installed[distribution]

    monkeypatch.setattr(doctor, "version", version)
    check = doctor.check_packages()
    assert (check.status, check.remedy) == (status, remedy)
    assert check.found.startswith("Python 3.") and check.found.endswith(f", {found}")


def test_a_missing_ffmpeg_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor.check_ffmpeg()
    assert (check.status, check.remedy) == ("warning", "apt-get install ffmpeg")
    program = tmp_path / "ffmpeg"
    program.touch(0o755)
    assert doctor.check_ffmpeg() == Check("ffmpeg", "ok", str(program))


def test_audio_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "input_devices", lambda: [USB])
    found = "1 found; listening to 3: USB Audio: (hw:1,0)"
    assert doctor.check_devices(None) == Check("audio devices", "ok", found)
    assert doctor.check_devices("usb") == Check("audio devices", "ok", found)
    monkeypatch.setattr(doctor, "input_devices", list)
    check = doctor.check_devices(None)
    assert (check.status, check.found) == ("problem", "there is no audio input device")
    assert check.remedy is not None and check.remedy.startswith("plug one in")


@pytest.mark.parametrize(
    ("message", "found", "remedy"),
    [
        (
            "PortAudio cannot be used (no library); run: apt-get install libportaudio2",
            "PortAudio cannot be used (no library)",
            "run: apt-get install libportaudio2",
        ),
        (
            "2 input devices match 'a' (0: a1; 1: a2); give more of the name",
            "2 input devices match 'a' (0: a1; 1: a2)",
            "give more of the name",
        ),
        (
            "USB: cannot be opened\n(busy)",
            "USB: cannot be opened (busy)",
            "is the sound server running, and is this user in the group audio?",
        ),
    ],
)
def test_a_failing_check_is_a_problem_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, message: str, found: str, remedy: str
) -> None:
    def devices() -> list[dict[str, object]]:
        raise AudioError(message)

    monkeypatch.setattr(doctor, "input_devices", devices)
    monkeypatch.setattr(doctor, "MicrophoneSource", lambda device: FakeSource(_blocks(_tone(0.1))))
    monkeypatch.setattr(doctor, "examine_engine", lambda *arguments: iter([]))
    checks = list(doctor.examine())
    assert [check.name for check in checks] == NAMES[:4]
    assert checks[2] == Check("audio devices", "problem", found, remedy)
    assert checks[3].status == "ok"


def test_the_engine_is_loaded_once_and_answers_as_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads = []
    load = engines.load
    monkeypatch.setattr(engines, "load", lambda *a, **k: loads.append(a) or load(*a, **k))
    monkeypatch.setattr(pace, "window_seconds", lambda engine, questions: 0.14)
    checks = list(doctor.examine_engine("tiny", "cpu", 2, doctor.TYPICAL_QUESTIONS))
    assert loads == [("tiny",)]
    assert [check.name for check in checks] == NAMES[4:]
    found = {check.name: check.found for check in checks}
    assert found["bundle"].startswith("tiny@sha256:")
    assert found["bundle"].endswith(", 16 answers as recorded")
    assert found["real-time margin"] == ("0.14 s per window with 8 questions, hop 1 s: margin 7.1x")


def test_answers_that_differ_are_a_problem(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    differences = ["clips/dog.ogg dog? 0.31, recorded 0.98"]
    monkeypatch.setattr(verify, "compare_examples", lambda engine: (differences, 16))
    check = doctor.check_answers(engine)
    assert check.status == "problem"
    assert check.found == (
        f"{engine.bundle.id}, 1 of 16 answers differ: clips/dog.ogg dog? 0.31, recorded 0.98"
    )


@pytest.mark.parametrize(
    ("seconds", "status", "margin", "remedy"),
    [
        (0.7, "ok", "1.4x", None),
        (0.71, "problem", "1.4x", "use --hop 1.5, or ask fewer questions"),
        (3.5, "problem", "0.3x", "use --hop 5, or ask fewer questions"),
        (3.6, "problem", "0.3x", "ask fewer questions"),
    ],
)
def test_the_margin_is_measured_against_the_hop(
    monkeypatch: pytest.MonkeyPatch,
    engine: Engine,
    seconds: float,
    status: str,
    margin: str,
    remedy: str | None,
) -> None:
    monkeypatch.setattr(pace, "window_seconds", lambda engine, questions: seconds)
    check = doctor.check_margin(engine, ["siren?", "dog?"])
    assert (check.status, check.remedy) == (status, remedy)
    assert check.found == f"{seconds:.2f} s per window with 2 questions, hop 1 s: margin {margin}"


def test_a_backend_that_is_not_there_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "gpu_is_supported", lambda: False)
    monkeypatch.setattr(encoder, "available_backends", lambda: ["cpu"])
    told, *rest = doctor.examine_engine("tiny", "cuda", 2, ["siren?"])
    assert told.status == "problem"
    assert told.found.startswith("onnxruntime offers cpu; llama.cpp built with")
    assert told.found.endswith("; backend cuda: this llama.cpp was built without GPU support")
    assert told.remedy == "reinstall with CMAKE_ARGS=-DGGML_CUDA=on or use --backend cpu"
    assert [(check.name, check.status) for check in rest[1:]] == [
        ("bundle", "warning"),
        ("real-time margin", "warning"),
        ("memory", "warning"),
    ]


def test_a_damaged_bundle_is_a_problem_of_its_own(tmp_path: Path, tiny_folder: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    with (tmp_path / "tiny/encoder.int8.onnx").open("r+b") as file:
        file.write(b"\0\0\0\0")
    backends, _, bundle, margin, _ = doctor.examine_engine(
        str(tmp_path / "tiny"), "cpu", 2, ["siren?"]
    )
    assert (backends.status, bundle.status, margin.status) == ("ok", "problem", "warning")
    assert "encoder.int8.onnx" in bundle.found and "differ from the manifest's" in bundle.found
    assert bundle.remedy == "copy or export the bundle again"


def test_more_threads_than_cores_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 3)
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 4)
    found = "3 threads on 3 usable of 4 cores"
    assert doctor.check_threads(None) == Check("threads", "ok", found)
    check = doctor.check_threads(5)
    assert (check.status, check.found) == ("warning", "5 threads on 3 usable of 4 cores")
    assert check.remedy == "use --threads 3: more are slower"


@pytest.mark.parametrize(
    ("available_mb", "used_mb", "status", "found"),
    [
        (800.0, 400.0, "ok", "400 MB used, 800 MB were available"),
        (799.0, 400.0, "warning", "400 MB used, 799 MB were available"),
        (None, None, "ok", "not known on this system"),
    ],
)
def test_memory(
    monkeypatch: pytest.MonkeyPatch,
    available_mb: float | None,
    used_mb: float | None,
    status: str,
    found: str,
) -> None:
    monkeypatch.setattr(doctor, "proc_mb", lambda file, field: used_mb)
    check = doctor.check_memory(available_mb)
    assert (check.status, check.found) == (status, found)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_of_a_child_is_its_own() -> None:
    module = "listen_edge.runtime.measure.memory"
    code = f"from {module} import proc_mb; print(proc_mb('self/status', 'VmHWM'))"
    held = bytearray(400 << 20)  # getrusage would give this one's peak
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 10 < float(done.stdout) < len(held) / 1e6
    assert memory.proc_mb("self/status", "NoSuchField") is None


def test_onnxruntime_that_is_missing_is_told_as_well() -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from listen_edge.runtime.measure.doctor import examine_engine\n"
        "for check in examine_engine('tiny', 'auto', None, ['siren?']):\n"
        "    print(check.name, check.status, check.remedy, sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "backends|problem|run: pip install 'listen-edge[cpu]'",
        "threads|ok|None",
        "bundle|warning|mend the problem above",
        "real-time margin|warning|mend the problem above",
        "memory|warning|mend the problem above",
    ]


@pytest.mark.parametrize(
    ("checks", "exit_code", "text"),
    [
        (
            [Check("threads", "ok", "2 threads"), Check("ffmpeg", "warning", "none", "get it")],
            0,
            "ok       threads           2 threads\n"
            "warning  ffmpeg            none\n"
            "         -> get it\n",
        ),
        (
            [Check("audio level", "problem", "silence", "unmute")],
            1,
            "problem  audio level       silence\n         -> unmute\n",
        ),
    ],
    ids=["warning", "problem"],
)
def test_the_command_prints_and_exits(
    monkeypatch: pytest.MonkeyPatch, checks: list[Check], exit_code: int, text: str
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda **options: iter(checks))
    done = CliRunner().invoke(command, [], standalone_mode=False)
    assert (done.return_value, done.stdout) == (exit_code, text)
    done = CliRunner().invoke(command, ["--json"], standalone_mode=False)
    assert done.return_value == exit_code
    described = json.loads(done.stdout)["checks"]
    assert [Check(**fields) for fields in described] == checks


def test_a_real_run_tells_every_check() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "listen_edge", "doctor", "--ask", "siren?", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    checks = [Check(**fields) for fields in json.loads(done.stdout)["checks"]]
    assert [check.name for check in checks] == NAMES
    assert all((check.remedy is None) == (check.status == "ok") for check in checks)
    assert done.returncode == int(any(check.status == "problem" for check in checks))
    assert done.stderr == ""
    (bundle,) = (check for check in checks if check.name == "bundle")
    assert bundle.found.endswith("16 answers as recorded")
