"""The capture process: PortAudio lives and dies here, so that it can never hang the listener.

    python -m listen_edge.runtime.sources.capture                   list the input devices as JSON
    python -m listen_edge.runtime.sources.capture DEVICE [KNOWN]    record until stdin is closed;
                                                                    KNOWN: Opened as JSON

PortAudio freezes its device list when it starts, and a call into a device that was pulled out may
never return; a fresh process sees the devices of today, and this one can be killed. It imports
neither numpy nor anything else of the package's weight.

stdout: one JSON line (rate, n_channels, known; or error, is_lasting), then records: a header
(HEADER) and interleaved little-endian float32 frames.
"""

from __future__ import annotations

import json
import os
import queue
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, BinaryIO

from listen_edge.errors import AudioError, MissingExtraError
from listen_edge.runtime.sources.devices import (
    Device,
    Opened,
    choose_device,
    opened,
    settings_to_try,
)
from listen_edge.runtime.sources.identity import card_identity

HEADER = struct.Struct("<I?")  # bytes of samples that follow, whether samples were lost before
DEFAULT = "default"  # the DEVICE argument for the system's default input
_SAMPLE_BYTES = 4
_BLOCK_S = 0.1
_MAX_QUEUED = 100  # blocks
_N_LATE = 10  # blocks: a second
_LOST_S, _DRIFT = 0.5, 0.01
_RATES = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)


def list_devices(*, with_rates: bool) -> list[Device]:
    """Return the input devices that PortAudio sees, with the rates that each accepts."""
    import sounddevice

    hosts = sounddevice.query_hostapis()
    default = sounddevice.default.device[0]
    return [
        {
            "index": info["index"],
            "name": info["name"],
            "identity": card_identity(info["name"]),
            "host": hosts[info["hostapi"]]["name"],
            "n_channels": info["max_input_channels"],
            "rate": info["default_samplerate"],
            "rates": [r for r in _RATES if with_rates and _accepts(info["index"], r)],
            "is_default": info["index"] == default,
        }
        for info in sounddevice.query_devices()
        if info["max_input_channels"] > 0
    ]


def _accepts(index: int, rate: int) -> bool:
    import sounddevice

    try:
        sounddevice.check_input_settings(index, channels=1, samplerate=rate)
    except (sounddevice.PortAudioError, ValueError):
        return False
    return True


def record(wanted: str, out: BinaryIO, known: Opened | None = None) -> None:
    """Write what the device delivers until it stops.

    Args:
        wanted: DEFAULT, or see choose_device.
        out: where to.
        known: see choose_device.

    Raises:
        AudioError: no such device, it refuses every rate, or it stopped.
    """
    devices = list_devices(with_rates=False)
    device = choose_device(devices, None if wanted == DEFAULT else wanted, known)
    blocks: queue.Queue[tuple[bytes, bool, float]] = queue.Queue(_MAX_QUEUED)
    lost = threading.Event()

    def copy(data: Any, _frames: int, _time: Any, status: Any) -> None:
        if status.input_overflow:
            lost.set()
        try:
            blocks.put_nowait((bytes(data), lost.is_set(), time.monotonic()))
            lost.clear()
        except queue.Full:
            lost.set()

    stream, rate, n_channels = _start(device, copy)
    described = asdict(opened(device, devices))
    _write_json(out, {"rate": rate, "n_channels": n_channels, "known": described})
    meter, delivered_s = LossMeter(), 0.0
    while True:
        try:
            samples, has_overflowed, at_s = blocks.get(timeout=1.0)
        except queue.Empty:
            if not stream.active:
                raise AudioError(
                    f"{device['name']}: the device stopped; was it unplugged?"
                ) from None
            continue
        delivered_s += len(samples) / (_SAMPLE_BYTES * n_channels * rate)
        has_overflowed |= meter.has_lost(at_s, delivered_s)
        out.write(HEADER.pack(len(samples), has_overflowed) + samples)
        out.flush()


class LossMeter:
    """Tells that samples were lost where nothing flags it: the clock ran ahead and stays ahead.

    A sound server that moves a stream to another device leaves such gaps, of 1.4 to 2.1 s with
    PulseAudio. Blocks that are merely late are followed by others that catch up.
    """

    def __init__(self) -> None:
        self._ahead_s: deque[float] = deque(maxlen=_N_LATE)
        self._usual_s: float | None = None

    def has_lost(self, now_s: float, delivered_s: float) -> bool:
        """Take the time of a block and the seconds delivered so far."""
        self._ahead_s.append(now_s - delivered_s)
        if len(self._ahead_s) < _N_LATE:
            return False
        ahead_s = min(self._ahead_s)
        usual_s = ahead_s if self._usual_s is None else min(ahead_s, self._usual_s)
        self._usual_s = usual_s + _DRIFT * (ahead_s - usual_s)  # two clocks are never one
        if ahead_s - usual_s < _LOST_S:
            return False
        self._ahead_s.clear()
        self._usual_s = None
        return True


def _start(device: Device, callback: Callable[..., None]) -> tuple[Any, int, int]:
    """Return a running stream, its rate and n_channels: the first that the device takes."""
    import sounddevice

    refusals = []
    for rate, n_channels in settings_to_try(device):
        stream = None
        try:
            stream = sounddevice.RawInputStream(
                samplerate=rate,
                device=device["index"],
                channels=n_channels,
                dtype="float32",
                blocksize=round(_BLOCK_S * rate),
                latency="high",
                callback=callback,
            )
            stream.start()
        except sounddevice.PortAudioError as err:
            refusals.append(f"{rate} Hz x {n_channels}: {err}")
            if stream is not None:
                stream.close()  # else the device is busy for the next attempt
        else:
            return stream, rate, n_channels
    raise AudioError(f"{device['name']}: cannot be opened ({refusals[0]})")


def _write_json(out: BinaryIO, content: Any) -> None:
    out.write(json.dumps(content).encode() + b"\n")
    out.flush()


def _die_with_parent() -> None:
    """End this process when the parent closes our stdin, or dies."""
    while os.read(0, 1024):
        pass
    os._exit(0)


def main() -> None:
    out, is_lasting = sys.stdout.buffer, False
    try:
        if len(sys.argv) == 1:
            _write_json(out, list_devices(with_rates=True))
            return
        threading.Thread(target=_die_with_parent, daemon=True).start()
        record(sys.argv[1], out, *(Opened(**json.loads(known)) for known in sys.argv[2:3]))
    except BrokenPipeError:
        os._exit(0)
    except ImportError:
        is_lasting, error = True, str(MissingExtraError("sounddevice", "mic"))
    except AudioError as err:
        error = str(err)
    except OSError as err:  # sounddevice cannot find the PortAudio library
        is_lasting = True
        error = f"PortAudio cannot be used ({err}); run: apt-get install libportaudio2"
    except Exception as err:  # noqa: BLE001 - PortAudio's own; the parent shows the line
        error = f"PortAudio: {err}"
    _write_json(out, {"error": error, "is_lasting": is_lasting})
    os._exit(1)  # PortAudio's clean-up may hang on a device that is gone


if __name__ == "__main__":
    main()
