"""The user's cache: model files that a device derives, and bundles that it has pulled."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the user's cache folder for derived model files."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "listen-edge"


def pulled_dir() -> Path:
    """Return where bundles lie that `bundle pull` got, each under its name."""
    return cache_dir() / "bundles"
