"""A room without hardware: a private PulseAudio, what is played in it, and who listens to it.

What `paplay` plays into the sink "room" comes out of its monitor, which ALSA, and so PortAudio,
takes for the default microphone. Everything lives in one temporary folder, the user's sound server
is not touched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

INSTALL = "apt-get install -y libasound2-plugins libportaudio2 pulseaudio pulseaudio-utils"
_ALSA = """\
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.room_by_name { type pulse device "room.monitor" hint { show on description "a room" } }
"""
_N_REPEATS = 24  # of a clip: longer than any test plays it
_TIMEOUT_S = 60.0  # generous: the machine may have other work


class Room:
    """A sound server with one sink.

    Args:
        folder: for its socket, configuration and recordings.
        cache: of the programs that listen.
        clips: recordings by their stems.

    Attributes:
        env: the environment of whoever uses it.
    """

    def __init__(self, folder: Path, cache: Path, clips: Path) -> None:
        for program in ("pulseaudio", "pactl", "paplay"):
            if shutil.which(program) is None:
                pytest.fail(f"{program} is not installed; run: {INSTALL}")
        self._folder, self._clips = folder, clips
        self._socket = folder / "native"
        self._server: subprocess.Popen[bytes] | None = None
        others = {k: v for k, v in os.environ.items() if not k.startswith(("PULSE_", "ALSA_"))}
        self.env = {
            **others,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CACHE_HOME": str(cache),
            "PULSE_RUNTIME_PATH": str(folder / "pulse"),
            "PULSE_STATE_PATH": str(folder / "pulse"),
            "PULSE_SERVER": f"unix:{self._socket}",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder / 'no-bus'}",
        }
        (folder / ".asoundrc").write_text(_ALSA)

    @property
    def server_pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def open(self) -> None:
        """Start the server and plug the microphone in."""
        command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--disable-shm=yes"]
        command += ["--exit-idle-time=-1", "--realtime=no", "--high-priority=no"]
        command += [f"--load=module-native-protocol-unix socket={self._socket}"]
        log = self._folder / "pulseaudio.log"
        with log.open("wb") as file:
            self._server = subprocess.Popen(command, env=self.env, stdout=file, stderr=file)
        poll(self._answers, log.read_text)
        self._plug_in()

    def close(self) -> None:
        """End the server; may be called twice."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        self._server = None
        self._socket.unlink(missing_ok=True)

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Be without the microphone."""
        self._pactl("unload-module", "module-null-sink")
        try:
            yield
        finally:
            self._plug_in()

    @contextmanager
    def playing(self, stem: str) -> Iterator[None]:
        """Play a clip again and again."""
        path = self._folder / f"{stem}.wav"
        if not path.exists():
            samples, rate = soundfile.read(self._clips / f"{stem}.ogg")
            soundfile.write(path, np.tile(samples, _N_REPEATS), rate)
        player = subprocess.Popen(["paplay", "--latency-msec=100", path], env=self.env)
        try:
            yield
        finally:
            player.kill()
            player.wait()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run listen-edge to its end."""
        return subprocess.run(
            _command(arguments), env=self.env, capture_output=True, text=True, timeout=_TIMEOUT_S
        )

    def _plug_in(self) -> None:
        self._pactl("load-module", "module-null-sink", "sink_name=room", "rate=48000")

    def _answers(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            pytest.fail(f"pulseaudio ended with code {self._server.returncode}")
        return subprocess.run(["pactl", "info"], env=self.env, capture_output=True).returncode == 0

    def _pactl(self, *arguments: str) -> None:
        subprocess.run(["pactl", *arguments], env=self.env, check=True, stdout=subprocess.DEVNULL)


class Listening:
    """A `listen-edge mic` that runs, and the lines that it has printed.

    Args:
        env: its environment, see Room.
        arguments: of mic, beyond two questions.

    Attributes:
        lines: so far, parsed.
    """

    def __init__(self, env: dict[str, str], *arguments: str) -> None:
        self.lines: list[dict[str, Any]] = []
        self._n_taken = 0
        asking = ["mic", "--ask", "siren?", "--ask", "dog?", "--on", "0.7", "--off", "0.3"]
        asking += ["--format", "jsonl", "--threads", "1"]  # two threads fight where others work
        self.process = subprocess.Popen(
            _command([*asking, *arguments]),
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._printing = threading.Thread(target=self._read, daemon=True)
        self._printing.start()

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.ended_after()

    def wait_for(self, kind: str, **fields: object) -> dict[str, Any]:
        """Return the next line with these fields and pass all before it; fails if none comes."""
        wanted = {"type": kind, **fields}
        found: list[dict[str, Any]] = []

        def take() -> bool:
            while not found and self._n_taken < len(self.lines):
                line = self.lines[self._n_taken]
                self._n_taken += 1
                if wanted.items() <= {k: v for k, v in line.items() if k in wanted}.items():
                    found.append(line)
            return bool(found) or not self._printing.is_alive()

        poll(take, lambda: f"{wanted} is not among {self._last_words()}")
        assert found, f"ended without {wanted}: {self._last_words()}"
        return found[0]

    def since(self, line: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the lines after this one that wait_for has passed."""
        return self.lines[self.lines.index(line) + 1 : self._n_taken]

    def capture_pid(self) -> int:
        """Return the process that records."""
        (pid,) = children_of(self.process.pid)
        return pid

    def ended_after(self) -> float:
        """Wait for its end; return the seconds that it took."""
        started = time.monotonic()
        self.process.wait(_TIMEOUT_S)
        seconds = time.monotonic() - started
        self._printing.join(_TIMEOUT_S)
        assert self.process.stderr is not None and self.process.stdout is not None
        self.process.stderr.close()
        self.process.stdout.close()
        return seconds

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def _last_words(self) -> str:
        return "\n".join(map(str, self.lines[-12:]))


def poll(is_done: Callable[[], bool], describe: Callable[[], str]) -> None:
    """Wait until something is true; fails with the description if it never is."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not is_done():
        if time.monotonic() > deadline:
            pytest.fail(f"nothing for {_TIMEOUT_S:.0f} s: {describe()}")
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and that run."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            state, parent = _state_and_parent(int(folder.name))
            if parent == pid and state != "Z":
                found.append(int(folder.name))
    return found


def is_running(pid: int) -> bool:
    return _state_and_parent(pid)[0] not in ("", "Z")


def _state_and_parent(pid: int) -> tuple[str, int]:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", 0
    state, parent = stat.rpartition(")")[2].split()[:2]
    return state, int(parent)


def _command(arguments: Any) -> list[str]:
    return [sys.executable, "-m", "listen_edge", *arguments]
