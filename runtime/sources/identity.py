"""Which piece of hardware an ALSA card is: its number is given anew whenever one is plugged in."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path("/")
_CARD = re.compile(r"\(hw:(\d+),(\d+)\)$")
_USB = re.compile(r"\d+-[\d.]+:\d+\.\d+")  # bus-port.port:configuration.interface


def card_identity(name: str, root: Path = ROOT) -> str | None:
    """Return what stays the same of the card of a device that PortAudio names.

    "usb 1-1.2:1.0,0" is the socket that a USB device is plugged into, "card PCH,0" the id that ALSA
    gave to a built-in one; both with the card's device number. The id of a USB card is of no use:
    of two of one make, the second is "Device_1" until it is the first.

    Args:
        name: ends with "(hw:CARD,DEVICE)".
        root: of the file system that tells, /sys before /proc, which containers hide.

    Returns:
        None for a device that is no card, such as a sound server's, or that nothing is told of.
    """
    match = _CARD.search(name)
    if match is None:
        return None
    number, device = match.groups()
    card = root / f"sys/class/sound/card{number}"
    socket = (card / "device").resolve().name
    if _USB.fullmatch(socket):
        return f"usb {socket},{device}"
    for path in (card / "id", root / f"proc/asound/card{number}/id"):
        try:
            return f"card {path.read_text().strip()},{device}"
        except OSError:
            continue
    return None
