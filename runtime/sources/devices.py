"""Which audio device is meant. Pure functions over PortAudio's list, which capture.py makes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from listen_edge.errors import AudioError

Device = dict[str, Any]  # index, name, identity, host, n_channels, rate, rates, is_default
_CARD = re.compile(r" \(hw:\d+,\d+\)$")  # what PortAudio adds to the name of an ALSA device
_MAX_NATIVE_CHANNELS = 8  # a device that claims more is a sound server's, which takes any number


@dataclass(frozen=True)
class Opened:
    """What is kept of a device that was opened, to know it again after a loss.

    Attributes:
        name: PortAudio's.
        identity: see identity.card_identity; None where the host does not tell.
        index: in PortAudio's list, None once that list may have changed.
        others: the identities of the devices beside it, or their names.
    """

    name: str
    identity: str | None = None
    index: int | None = None
    others: tuple[str, ...] = ()


def opened(device: Device, devices: list[Device]) -> Opened:
    """Return what is to be kept of a device among those there are."""
    others = tuple(_mark(d) for d in devices if d["index"] != device["index"])
    return Opened(device["name"], device["identity"], device["index"], others)


def choose_device(
    devices: list[Device], wanted: str | None, known: Opened | str | None = None
) -> Device:
    """Return the device of an index, or of a part of its name; the default for None.

    A name that is exactly one device's is that device, though others contain it.

    Args:
        devices: those there are.
        wanted: index, part of a name, or None.
        known: what was opened before, or its bare name: that device or none, whatever was wanted.
            One of the same make may take its place if it was not there before.

    Raises:
        AudioError: none matches, or several do; the message lists them.
    """
    if known is not None:
        return _same_device(devices, Opened(known) if isinstance(known, str) else known)
    if wanted is None:
        default = [d for d in devices if d["is_default"]]
        if default:
            return default[0]
        raise AudioError(
            f"there is no default input device (input devices: {_list(devices)}); plug one in, "
            "choose one with --device, or wait for one with --wait-for-device"
        )
    if wanted.isdecimal():
        matches = [d for d in devices if d["index"] == int(wanted)]
    else:
        matches = [d for d in devices if wanted.lower() in d["name"].lower()]
        matches = [d for d in matches if d["name"] == wanted] or matches
    if not matches:
        raise AudioError(
            f"no input device matches {wanted!r} (input devices: {_list(devices)}); see "
            "`listen-edge devices`, or wait for it with --wait-for-device"
        )
    if len(matches) > 1:
        raise AudioError(
            f"{len(matches)} input devices match {wanted!r} ({_list(matches)}); give more of the "
            "name, or the index"
        )
    return matches[0]


def _same_device(devices: list[Device], lost: Opened) -> Device:
    alike = [d for d in devices if _CARD.sub("", d["name"]) == _CARD.sub("", lost.name)]
    if lost.identity is None:
        found = _same_by_name(alike, lost)
    else:
        same = [d for d in alike if d.get("identity") == lost.identity]
        found = same or [d for d in alike if d["identity"] and d["identity"] not in lost.others]
    if len(found) == 1:
        return found[0]
    if not alike:
        raise AudioError(
            f"{lost.name} is not there (input devices: {_list(devices)}); plug it in again"
        )
    raise AudioError(
        f"{lost.name} is not there, or cannot be told from what is ({_list(alike)}); plug it in "
        "where it was, or start again with --device INDEX"
    )


def _same_by_name(alike: list[Device], lost: Opened) -> list[Device]:
    """Without an identity the name must be its alone, or the list as it was when it was opened."""
    named = [d for d in alike if d["name"] == lost.name]
    if lost.name not in lost.others:
        return named
    is_complete = len(named) == lost.others.count(lost.name) + 1
    return [d for d in named if is_complete and d["index"] == lost.index]


def _mark(device: Device) -> str:
    mark: str = device["identity"] or device["name"]
    return mark


def _list(devices: list[Device]) -> str:
    return "; ".join(f"{d['index']}: {d['name']}" for d in devices) or "none at all"


def settings_to_try(device: Device) -> list[tuple[int, int]]:
    """Return (rate in Hz, n_channels) pairs, the device's own first: it may refuse even those."""
    native = device["n_channels"]
    channels = [native if native <= _MAX_NATIVE_CHANNELS else 2, 2, 1]
    rates = [round(device["rate"]), 48_000, 44_100, 16_000, 32_000, 96_000, 192_000, 8_000]
    pairs = [(rate, n) for n in channels if n <= native for rate in rates]
    return list(dict.fromkeys(pairs))
