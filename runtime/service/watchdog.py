"""What systemd is told: ready, alive, stopping, and how things stand.

Source: sd_notify(3): lines of NAME=VALUE in one datagram to $NOTIFY_SOCKET, whose leading @ stands
for the NUL byte of an abstract socket.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

logger = logging.getLogger(__name__)

_MAX_STATUS = 500


class Watchdog:
    """Tells the service manager; without one it does nothing, and a failure is no error of ours.

    Args:
        environ: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, of the manager; None: the process's.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        wanted_us = environ.get("WATCHDOG_USEC", "") if is_ours else ""
        self._within_s = int(wanted_us) / 1e6 if wanted_us.isdecimal() else 0.0

    @property
    def interval_s(self) -> float | None:
        """How often `alive` is to be said, None: nobody waits for it."""
        return self._within_s / 3 or None

    def ready(self, status: str) -> None:
        """The service does its work from now on."""
        self._notify("READY=1", _status(status))

    def alive(self, status: str) -> None:
        """All is well; when this is not said for long enough, the manager starts it again."""
        self._notify("WATCHDOG=1", _status(status))

    def unwell(self, status: str) -> None:
        """Something hangs: say what, and nothing of being alive."""
        self._notify(_status(status))

    def stopping(self) -> None:
        """It comes to its end."""
        self._notify("STOPPING=1")

    def _notify(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(1.0)
                sender.sendto("\n".join(lines).encode(errors="replace"), self._address)
        except OSError as err:
            logger.debug("the service manager was not told: %s", err)


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:_MAX_STATUS]}"
