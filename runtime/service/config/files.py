"""Files of a configuration: itself and its secrets, read within bounds."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

NAME = "listen-edge.yaml"
_MAX_SECRET_BYTES = 16 * 1024


def search_paths(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where a configuration is looked for, in this order."""
    home = environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return (
        Path(NAME),
        Path(home) / "listen-edge/config.yaml",
        Path("/etc/listen-edge/config.yaml"),
    )


def starting_point() -> str:
    """Return a configuration to begin with, with comments."""
    return files(__package__).joinpath("start.yaml").read_text(encoding="utf-8")


def read_text(path: Path, max_bytes: int) -> str:
    """Return what a file says.

    Raises:
        ValueError: there is no such file, it is none, it is too large, or it is not UTF-8; in
            words that hold neither its name nor its content.
    """
    try:
        content = _read(path, max_bytes)
    except OSError as err:
        raise ValueError(f"cannot be read: {(err.strerror or 'error').lower()}") from err
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
        raise ValueError(f"is not UTF-8, in line {line}; save it as UTF-8") from None


def read_secret(path: Path) -> tuple[str, str | None]:
    """Return the secret that a file holds, and a warning if others can read it.

    Raises:
        ValueError: see read_text, or there is not one line in it.
    """
    text = read_text(path, _MAX_SECRET_BYTES).removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("is empty; expected a secret on one line")
    if not text.isprintable():
        raise ValueError("expected a secret on one line, without control characters")
    mode = open_mode(path)
    return text, mode and f"{mode}: others can read or change it; chmod 600"


def open_mode(path: Path) -> str | None:
    """Return "mode 0644" of a file that others can read or change, None of any other."""
    mode = path.stat().st_mode
    if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        return f"mode {stat.S_IMODE(mode):04o}"
    return None


def _read(path: Path, max_bytes: int) -> bytes:
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is not a file")
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"is larger than {max_bytes // 1024} KiB; is it the right file?")
    return content
