"""What programs that we start are told of our environment: LISTEN_EDGE_* may hold secrets."""

from __future__ import annotations

import os

_OURS = "LISTEN_EDGE_"


def own_environment(*names: str) -> dict[str, str]:
    """Return these variables of ours, those that are set."""
    return {name: os.environ[name] for name in names if name in os.environ}


def environment_of_others() -> dict[str, str]:
    """Return our environment without what configures us: for what needs to know the session."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
