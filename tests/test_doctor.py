"""Every check of the doctor, well and ill: what it says, its status and its remedy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from click.testing import CliRunner

from listen_edge.cli.doctor import doctor as command
from listen_edge.errors import AudioError
from listen_edge.runtime import backends, encoder_session, threads, verify
from listen_edge.runtime import engine as engines
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening import pace
from listen_edge.runtime.measure import doctor, memory
from listen_edge.runtime.measure.doctor import Check
from tests.test_doctor_level import FakeSource, blocks, tone

USB = {"index": 3, "name": "USB Audio: (hw:1,0)", "is_default": True}
NAMES = [
    "packages", "ffmpeg", "audio devices", "audio level", "backends", "threads", "bundle",
    "self-test", "real-time margin", "memory",
]  # fmt: skip


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
    monkeypatch.setattr(doctor, "MicrophoneSource", lambda device: FakeSource(blocks(tone(0.1))))
    monkeypatch.setattr(doctor, "examine_engine", lambda *arguments, **options: iter([]))
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
    monkeypatch.setattr(encoder_session, "available_backends", lambda: ["cpu"])
    told, *rest = doctor.examine_engine("tiny", "cuda", 2, ["siren?"])
    assert told.status == "problem"
    assert told.found.startswith("onnxruntime offers cpu; llama.cpp built with")
    assert told.found.endswith("; backend cuda: this llama.cpp was built without GPU support")
    assert told.remedy == "reinstall with CMAKE_ARGS=-DGGML_CUDA=on or use --backend cpu"
    assert [(check.name, check.status) for check in rest[1:]] == [
        ("bundle", "warning"),
        ("self-test", "warning"),
        ("real-time margin", "warning"),
        ("memory", "warning"),
    ]


def test_a_damaged_bundle_is_a_problem_of_its_own(tmp_path: Path, tiny_folder: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    with (tmp_path / "tiny/encoder.int8.onnx").open("r+b") as file:
        file.write(b"\0\0\0\0")
    backends, _, bundle, hearing, margin, _ = doctor.examine_engine(
        str(tmp_path / "tiny"), "cpu", 2, ["siren?"]
    )
    assert (backends.status, bundle.status) == ("ok", "problem")
    assert (hearing.status, margin.status) == ("warning", "warning")
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
        "self-test|warning|mend the problem above",
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
