"""The user's cache: model files that a device derives, and bundles that it has pulled."""

from __future__ import annotations

import os
from pathlib import Path

from listen_edge.errors import BundleError


def cache_dir() -> Path:
    """Return the user's cache folder for derived model files.

    Raises:
        BundleError: the user has no home folder, as in a container under a number of its own.
    """
    chosen = os.environ.get("XDG_CACHE_HOME")
    if chosen:
        return Path(chosen) / "listen-edge"
    try:
        return Path.home() / ".cache/listen-edge"
    except RuntimeError as err:
        raise BundleError(
            f"user {os.getuid()} has no home folder for the cache of model files; set "
            "XDG_CACHE_HOME to a folder that may be written to"
        ) from err


def pulled_dir() -> Path:
    """Return where bundles lie that `bundle pull` got, each under its name."""
    return cache_dir() / "bundles"
