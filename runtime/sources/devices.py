"""Which audio device is meant. Pure functions over PortAudio's list, which capture.py makes."""

from __future__ import annotations

import re
from typing import Any

from listen_edge.errors import AudioError

Device = dict[str, Any]  # index, name, host, n_channels, rate, rates, is_default
_CARD = re.compile(r" \(hw:\d+,\d+\)$")  # what PortAudio adds to the name of an ALSA device
_MAX_NATIVE_CHANNELS = 8  # a device that claims more is a sound server's, which takes any number


def choose_device(devices: list[Device], wanted: str | None, known: str | None = None) -> Device:
    """Return the device of an index, or of a part of its name; the default for None.

    A name that is exactly one device's is that device, though others contain it.

    Args:
        devices: those there are.
        wanted: index, part of a name, or None.
        known: the name that it had when it was opened before: goes first, and an index is no
            longer looked at. A device plugged in again may be another card by then.

    Raises:
        AudioError: none matches, or several do; the message lists them.
    """
    there = "; ".join(f"{d['index']}: {d['name']}" for d in devices) or "none at all"
    if wanted is None:
        default = [d for d in devices if d["is_default"]]
        if default:
            return default[0]
        raise AudioError(
            f"there is no default input device (input devices: {there}); plug one in, choose one "
            "with --device, or wait for one with --wait-for-device"
        )
    if known is not None:
        again = [d for d in devices if d["name"] == known]
        again = again or [d for d in devices if _CARD.sub("", d["name"]) == _CARD.sub("", known)]
        if len(again) == 1:
            return again[0]
        wanted = known if wanted.isdecimal() else wanted
    if wanted.isdecimal():
        matches = [d for d in devices if d["index"] == int(wanted)]
    else:
        matches = [d for d in devices if wanted.lower() in d["name"].lower()]
        matches = [d for d in matches if d["name"] == wanted] or matches
    if not matches:
        raise AudioError(
            f"no input device matches {wanted!r} (input devices: {there}); see "
            "`listen-edge devices`, or wait for it with --wait-for-device"
        )
    if len(matches) > 1:
        found = "; ".join(f"{d['index']}: {d['name']}" for d in matches)
        raise AudioError(
            f"{len(matches)} input devices match {wanted!r} ({found}); give more of the name, or "
            "the index"
        )
    return matches[0]


def settings_to_try(device: Device) -> list[tuple[int, int]]:
    """Return (rate in Hz, n_channels) pairs, the device's own first: it may refuse even those."""
    native = device["n_channels"]
    channels = [native if native <= _MAX_NATIVE_CHANNELS else 2, 2, 1]
    rates = [round(device["rate"]), 48_000, 44_100, 16_000, 32_000, 96_000, 192_000, 8_000]
    pairs = [(rate, n) for n in channels if n <= native for rate in rates]
    return list(dict.fromkeys(pairs))
