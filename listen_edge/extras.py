"""Which extra brings a package that is missing: pyproject.toml says it, as it was installed."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires

_PROJECT = "listen-edge"
DISTRIBUTIONS = {  # those that are not named as their module
    "huggingface_hub": "huggingface-hub",
    "paho": "paho-mqtt",
    "sklearn": "scikit-learn",
    "whisper": "openai-whisper",
    "yaml": "pyyaml",
}
COMMANDS = {  # what a command is for, where several extras bring a package
    "ablation": "train",
    "bench": "train",
    "bundle": "pull",
    "config": "service",
    "eval": "eval",
    "export": "export",
    "report": "train",
    "service": "service",
    "synthesize": "train",
    "tag": "tag",
    "train": "train",
    "train-head": "train",
    "watch": "service",
}
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w,\s-]+)\])?[^;]*;.*extra == ['\"]([\w-]+)['\"]")


def extra_for(module: str, command: str | None) -> str | None:
    """Return the extra to install for a module that a command lacks, None if none brings it.

    It is the command's own extra if that brings the module, else the one that brings least beside.

    Args:
        module: what could not be imported.
        command: the first word after listen-edge.
    """
    root = module.partition(".")[0]
    wanted = DISTRIBUTIONS.get(root, root).replace("_", "-")
    brought = {extra: _brought(extra) for extra in sorted(_extras())}
    bringing = [extra for extra, packages in brought.items() if wanted in packages]
    own = COMMANDS.get(command or "")
    if own in bringing:
        return own
    return min(bringing, key=lambda extra: len(brought[extra]), default=None)


def _extras() -> dict[str, list[tuple[str, list[str]]]]:
    """Return (package, its extras) by our extras."""
    found: dict[str, list[tuple[str, list[str]]]] = {}
    try:
        lines = requires(_PROJECT) or []
    except PackageNotFoundError:  # run from files that were not installed
        return found
    for line in lines:
        if match := _REQUIREMENT.match(line):
            package, nested, extra = match.groups()
            found.setdefault(extra, []).append((package.lower(), (nested or "").split(",")))
    return found


def _brought(extra: str) -> set[str]:
    """Return the packages of an extra, and of those within it."""
    packages: set[str] = set()
    for package, nested in _extras().get(extra, []):
        if package == _PROJECT:
            packages |= {p for inner in nested for p in _brought(inner.strip())}
        else:
            packages.add(package)
    return packages
