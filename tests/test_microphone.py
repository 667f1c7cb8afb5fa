"""The microphone as it is used: real processes, PortAudio, a sound server, and what goes wrong."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from listen_edge.errors import AudioError
from listen_edge.runtime.sources import capture, microphone
from listen_edge.runtime.sources.devices import Device, choose_device, settings_to_try
from listen_edge.runtime.sources.microphone import MicrophoneSource, input_devices
from tests.pulse import INSTALL, Listening, Room, is_running, poll


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, tiny_folder: Path
) -> Iterator[Room]:
    room = Room(tmp_path_factory.mktemp("room"), shared_cache, tiny_folder / "clips")
    room.open()
    listed = room.run("devices", "--json").stdout
    if '"default"' not in listed:
        pytest.fail(f"PortAudio does not see PulseAudio: {listed!r}; run: {INSTALL}")
    yield room
    room.close()


@pytest.fixture
def room(server: Room, monkeypatch: pytest.MonkeyPatch) -> Room:
    """The room, in the environment of this process as well."""
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return server


def test_what_is_played_in_the_room_is_heard_and_silence_is_unknown(room: Room) -> None:
    with Listening(room.env) as mic:
        opened = mic.wait_for("health", state="healthy", n_restarts=0)
        assert opened["message"] == "listening at 44100 Hz, 2 channels on 'default'"
        for _ in range(4):  # two windows of digital silence
            silent = mic.wait_for("answer", reason="silent_input")
            assert (silent["state"], silent["level_dbfs"]) == ("unknown", None)
        before = [line for line in mic.since(opened) if line["type"] == "answer"]
        assert {line["state"] for line in before} == {"unknown"}
        for concept, other in (("siren", "dog"), ("dog", "siren")):
            with room.playing(concept):
                mic.wait_for("event", phase="start", concept=concept)
                heard = mic.wait_for("answer", concept=concept, state="present")
                mic.wait_for("answer", concept=other, state="absent")
            assert heard["level_dbfs"] > -40
        assert [line for line in mic.lines if line["type"] == "health"] == [opened]


def test_a_microphone_that_is_unplugged_is_listened_to_again(room: Room) -> None:
    with Listening(room.env, "--device", "room_by", "--stall-timeout", "3") as mic:
        opened = mic.wait_for("health", state="healthy")
        with room.unplugged():
            lost = mic.wait_for("health", state="alarmed")
            assert lost["message"] == "room_by_name: the device stopped; was it unplugged?"
            mic.wait_for("answer", state="unknown", reason="no_audio")
        back = mic.wait_for("health", state="healthy")
        assert back["message"] == "listening again at 44100 Hz, 2 channels on 'room_by_name'"
        assert back["n_restarts"] >= 1
        with room.playing("siren"):
            mic.wait_for("event", phase="start", concept="siren")
        between = [line["state"] for line in mic.since(opened) if line["type"] == "answer"]
        assert "absent" not in between[: between.index("present")]


def test_a_capture_process_that_dies_or_hangs_is_replaced(room: Room) -> None:
    with Listening(room.env, "--stall-timeout", "3") as mic:
        opened = mic.wait_for("health", state="healthy")
        first = mic.capture_pid()
        os.kill(first, signal.SIGKILL)
        mic.wait_for("health", state="alarmed", message="the capture process ended")
        mic.wait_for("health", state="recovering")
        mic.wait_for("health", state="healthy", n_restarts=1)
        second = mic.capture_pid()
        os.kill(second, signal.SIGSTOP)
        mic.wait_for("health", state="alarmed", message="no audio for 3 s")
        mic.wait_for("answer", state="unknown", reason="no_audio")
        mic.wait_for("health", state="recovering")
        mic.wait_for("health", state="healthy", n_restarts=2)
        third = mic.capture_pid()
        assert len({first, second, third}) == 3
        assert not is_running(first) and not is_running(second)
        answers = [line for line in mic.since(opened) if line["type"] == "answer"]
        assert {line["state"] for line in answers} == {"unknown"}
        mic.process.kill()
        mic.process.wait()
        poll(lambda: not is_running(third), lambda: "the capture process outlives the listener")


def test_a_device_that_is_not_there_is_an_error_that_names_those_there_are(room: Room) -> None:
    done = room.run("mic", "--ask", "siren?", "--device", "nosuch", "--threads", "1")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("listen-edge: no input device matches 'nosuch' (input devices: ")
    assert ": room_by_name; " in line and line.endswith("wait for it with --wait-for-device")


def test_without_portaudio_nothing_is_waited_for(room: Room, tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    env = {**room.env, "PYTHONPATH": str(tmp_path)}
    command = ["mic", "--ask", "siren?", "--wait-for-device", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "listen_edge", *command], env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "listen-edge: PortAudio cannot be used (PortAudio library not found); run: apt-get install "
        "libportaudio2\n"
    )


def test_a_device_that_is_not_there_at_boot_is_waited_for(
    tmp_path: Path, shared_cache: Path, tiny_folder: Path
) -> None:
    late = Room(tmp_path, shared_cache, tiny_folder / "clips")
    try:
        with Listening(late.env, "--wait-for-device") as mic:
            absent = mic.wait_for("health", state="alarmed")
            assert absent["message"].startswith("there is no default input device (")
            mic.wait_for("answer", state="unknown", reason="no_audio")
            late.open()
            mic.wait_for("health", state="healthy")
    finally:
        late.close()


def test_a_signal_ends_events_and_processes_within_a_second(room: Room) -> None:
    codes = {signal.SIGINT: 130, signal.SIGTERM: 0}
    with Listening(room.env) as by_key, Listening(room.env) as by_service:
        both = {signal.SIGINT: by_key, signal.SIGTERM: by_service}
        with room.playing("siren"):
            for number, mic in both.items():
                mic.wait_for("event", phase="start", concept="siren")
                pid = mic.capture_pid()
                mic.process.send_signal(number)
                assert mic.ended_after() < 1
                assert mic.process.returncode == codes[number]
                assert not is_running(pid)
                said = [line for line in mic.lines if line["type"] != "health"]
                assert (said[-1]["type"], said[-1]["phase"]) == ("event", "end")
                assert (said[-1]["concept"], said[-1]["reason"]) == ("siren", "stopped")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_while_the_models_load_ends_it_within_a_second(
    room: Room, number: signal.Signals
) -> None:
    with Listening(room.env) as mic:
        maps = Path(f"/proc/{mic.process.pid}/maps")
        poll(lambda: "libllama" in maps.read_text(), lambda: "llama.cpp is not loaded")
        mic.process.send_signal(number)
        assert mic.ended_after() < 1.0
        assert mic.process.returncode == (130 if number == signal.SIGINT else 0)
        assert mic.lines == []


def test_devices_lists_the_default_with_its_rates(room: Room) -> None:
    done = room.run("devices", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    by_name = {device["name"]: device for device in json.loads(done.stdout)}
    assert by_name["default"]["is_default"] and not by_name["room_by_name"]["is_default"]
    assert {16_000, 44_100, 48_000} <= set(by_name["default"]["rates"])
    text = room.run("devices").stdout.splitlines()
    assert len(text) == len(by_name)
    assert any(line.startswith("* ") and " default " in line for line in text)


def test_a_sound_server_that_hangs_hangs_nobody_else(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microphone, "_LIST_TIMEOUT_S", 1.0)
    source = MicrophoneSource()
    os.kill(room.server_pid, signal.SIGSTOP)
    try:
        with pytest.raises(AudioError, match="has not answered for 1 s; is the sound server"):
            input_devices()
        source.open()
        assert source.read(1.0) is None
        started = time.monotonic()
        source.close()
        source.close()
        assert time.monotonic() - started < 1
    finally:
        os.kill(room.server_pid, signal.SIGCONT)


def _device(index: int, name: str, **fields: Any) -> Device:
    usual = {"host": "ALSA", "n_channels": 1, "rate": 48_000.0, "rates": [], "is_default": False}
    return {"index": index, "name": name, "identity": None, **usual, **fields}


USB = _device(1, "USB Mic: Audio (hw:1,0)")
DEVICES = [
    _device(0, "HDA Intel: ALC257 (hw:0,0)"),
    USB,
    _device(4, "USB Mic: Audio 2"),
    _device(5, "pulse"),
    _device(6, "pulse monitor", is_default=True),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [(None, 6), ("4", 4), ("hda", 0), ("pulse", 5), ("PULSE M", 6), ("(hw:1,0)", 1)],
    ids=["default", "index", "part", "exact-wins", "any-case", "card"],
)
def test_a_device_is_an_index_or_a_part_of_its_name(wanted: str | None, index: int) -> None:
    assert choose_device(DEVICES, wanted)["index"] == index


@pytest.mark.parametrize(
    ("devices", "wanted", "expected"),
    [
        (DEVICES, "usb", "2 input devices match 'usb' (1: USB Mic: Audio (hw:1,0); 4: USB Mic"),
        (DEVICES, "webcam", "no input device matches 'webcam' (input devices: 0: HDA Intel"),
        (DEVICES, "2", "no input device matches '2'"),
        ([], "usb", "(input devices: none at all)"),
        (DEVICES[:2], None, "there is no default input device (input devices: 0: HDA Intel"),
    ],
    ids=["several", "none", "index", "no-devices", "no-default"],
)
def test_a_device_that_cannot_be_told_is_an_error(
    devices: list[Device], wanted: str | None, expected: str
) -> None:
    with pytest.raises(AudioError) as raised:
        choose_device(devices, wanted)
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("n_channels", "tried"), [(1, [1]), (2, [2, 1]), (6, [6, 2, 1]), (32, [2, 1])]
)
def test_a_device_is_tried_as_it_is_and_then_with_less(n_channels: int, tried: list[int]) -> None:
    pairs = settings_to_try(_device(0, "x", n_channels=n_channels, rate=44_100.0))
    assert pairs[:3] == [(44_100, tried[0]), (48_000, tried[0]), (16_000, tried[0])]
    assert list(dict.fromkeys(n for _, n in pairs)) == tried
    assert len(pairs) == len(set(pairs)) == 7 * len(tried)


class _FakePortAudio(SimpleNamespace):
    """A device that takes one rate only, plays two blocks and stops; it can be opened once."""

    class PortAudioError(Exception):
        pass

    def __init__(self, rate: int, n_channels: int) -> None:
        self.n_open = 0
        info = {"index": 0, "name": "usb", "hostapi": 0, "default_samplerate": 48_000.0}
        super().__init__(
            default=SimpleNamespace(device=[0, 0]),
            query_hostapis=lambda: [{"name": "ALSA"}],
            query_devices=lambda: [{**info, "max_input_channels": n_channels}],
            RawInputStream=lambda **settings: _FakeStream(self, rate, **settings),
        )


class _FakeStream:
    active = False

    def __init__(self, audio: _FakePortAudio, only_rate: int, **settings: Any) -> None:
        if audio.n_open:
            raise audio.PortAudioError("Device unavailable")
        if settings["samplerate"] == 48_000:
            raise audio.PortAudioError("Invalid sample rate")
        audio.n_open += 1
        self._audio, self._only_rate, self._settings = audio, only_rate, settings

    def start(self) -> None:
        if self._settings["samplerate"] != self._only_rate:
            raise self._audio.PortAudioError("Unanticipated host error")
        n_frames, n_channels = self._settings["blocksize"], self._settings["channels"]
        for has_overflowed in (False, True):
            status = SimpleNamespace(input_overflow=has_overflowed)
            samples = np.full((n_frames, n_channels), 0.5, "<f4")
            self._settings["callback"](samples.tobytes(), n_frames, None, status)

    def close(self) -> None:
        self._audio.n_open -= 1


def _sent(out: io.BytesIO) -> tuple[dict[str, Any], list[tuple[int, bool]]]:
    """Return the opening line, and the bytes and overflow flag of each record."""
    out.seek(0)
    opened = json.loads(out.readline())
    records = []
    while header := out.read(capture.HEADER.size):
        n_bytes, has_overflowed = capture.HEADER.unpack(header)
        assert out.read(n_bytes) == np.full(n_bytes // 4, 0.5, "<f4").tobytes()
        records.append((n_bytes, has_overflowed))
    return opened, records


def test_a_device_is_opened_at_the_first_rate_that_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """48 kHz is refused when it is opened, 44.1 kHz when it is started."""
    monkeypatch.setitem(sys.modules, "sounddevice", _FakePortAudio(rate=16_000, n_channels=2))
    out = io.BytesIO()
    with pytest.raises(AudioError, match="usb: the device stopped; was it unplugged"):
        capture.record(capture.DEFAULT, out)
    block_bytes = 1_600 * 2 * 4
    assert _sent(out) == (
        {
            "rate": 16_000,
            "n_channels": 2,
            "known": {"name": "usb", "identity": None, "index": 0, "others": []},
        },
        [(block_bytes, False), (block_bytes, True)],
    )


def test_a_device_that_refuses_every_rate_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", _FakePortAudio(rate=11_025, n_channels=1))
    out = io.BytesIO()
    with pytest.raises(AudioError, match=r"usb: cannot be opened \(48000 Hz x 1: Invalid sample"):
        capture.record("us", out)
    assert out.getvalue() == b""
