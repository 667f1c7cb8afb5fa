"""A microphone through PortAudio, in a capture process that can be killed when a device hangs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from typing import Any

import numpy as np

from listen_edge.environment import environment_of_others
from listen_edge.errors import AudioError, BackendError
from listen_edge.runtime.sources import Block
from listen_edge.runtime.sources.capture import DEFAULT, HEADER
from listen_edge.runtime.sources.devices import Device
from listen_edge.runtime.sources.reader import BackgroundReader

logger = logging.getLogger(__name__)

_LIST_TIMEOUT_S = 20.0
_ENDED = "the capture process ended"


class MicrophoneSource:
    """An audio input device at its own rate and channel count.

    Args:
        device: index, or a part of the name; None for the system's default. Opened again, it is
            the same device or none, see devices.choose_device.
    """

    is_live = True

    def __init__(self, device: str | None = None) -> None:
        self.name = "microphone" if device is None else device
        self._wanted = DEFAULT if device is None else device
        self._known: dict[str, Any] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: BackgroundReader | None = None
        self._format: tuple[int, int] | None = None

    def open(self) -> None:
        known = [] if self._known is None else [json.dumps(self._known)]
        process = _capture(self._wanted, *known)
        self._format = None
        self._reader = BackgroundReader(lambda: self._read_block(process), drops_oldest=True)
        self._process = process

    def read(self, timeout_s: float) -> Block | None:
        assert self._reader is not None
        return self._reader.read(timeout_s)

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert self._reader is not None
        process.kill()
        self._reader.close(timeout_s=0.5)
        _end(process)

    def _read_block(self, process: subprocess.Popen[bytes]) -> Block:
        assert process.stdout is not None
        if self._format is None:
            self._format = self._opened(process.stdout.readline())
        rate, n_channels = self._format
        header = process.stdout.read(HEADER.size)
        if header[:1] == b"{":  # no length of whole floats begins so
            _parse(header + process.stdout.readline())
        if len(header) < HEADER.size:
            raise AudioError(_ENDED)
        n_bytes, has_overflowed = HEADER.unpack(header)
        data = process.stdout.read(n_bytes)
        if len(data) < n_bytes:
            raise AudioError(_ENDED)
        samples = np.frombuffer(data, "<f4").reshape(-1, n_channels)
        assert self._known is not None
        return Block(samples, rate, time.monotonic(), has_overflowed, device=self._known["name"])

    def _opened(self, line: bytes) -> tuple[int, int]:
        """Return rate and n_channels of the device that was opened, and keep what it was."""
        try:
            opened = _parse(line)
        except BackendError as err:
            if self._known is None:
                raise
            raise AudioError(str(err)) from err  # it was there, and may be again
        except AudioError:
            if self._known is not None:  # it has gone: the list is no longer what it was
                self._known["index"] = None
            raise
        self._known = opened["known"]
        rate, n_channels = opened["rate"], opened["n_channels"]
        logger.info("%s: %d Hz, %d channels", opened["known"]["name"], rate, n_channels)
        return rate, n_channels


def input_devices() -> list[Device]:
    """Return the input devices there are now, see capture.list_devices.

    Raises:
        AudioError: PortAudio does not answer.
        BackendError: it is missing.
    """
    process = _capture()
    try:
        out, _ = process.communicate(timeout=_LIST_TIMEOUT_S)
    except subprocess.TimeoutExpired as err:
        raise AudioError(
            f"PortAudio has not answered for {_LIST_TIMEOUT_S:.0f} s; is the sound server running?"
        ) from err
    finally:
        _end(process)
    found = _parse(out.partition(b"\n")[0])
    assert isinstance(found, list)
    return found


def _capture(*arguments: str) -> subprocess.Popen[bytes]:
    noise = None if logger.isEnabledFor(logging.INFO) else subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-m", "listen_edge.runtime.sources.capture", *arguments],
        stdin=subprocess.PIPE,  # its closing ends the process
        stdout=subprocess.PIPE,
        stderr=noise,  # ALSA's and PortAudio's own chatter
        start_new_session=True,  # Ctrl-C is for the listener, which ends this one
        env={
            **environment_of_others(),
            "PYTHONSAFEPATH": "1",
        },  # modules come from the installation alone
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    try:
        process.wait(timeout=0.4)
    except subprocess.TimeoutExpired:  # it is in a system call of a driver that does not return
        logger.warning("capture process %d cannot be killed", process.pid)
        return  # a thread may be reading from the pipe: closing it would wait for both
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _parse(line: bytes) -> Any:
    content = json.loads(line) if line.strip() else {"error": _ENDED}
    if isinstance(content, dict) and "error" in content:
        is_lasting = content.get("is_lasting", False)
        raise (BackendError if is_lasting else AudioError)(content["error"])
    return content
