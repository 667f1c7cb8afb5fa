"""A short synthesis in this process or with a server, and what it left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from listen_edge.chat import ChatEndpoint, Completion
from listen_edge.ontology import Ontology
from listen_edge.train.datasets import Row
from listen_edge.train.texts.assignments import SynthesisConfig
from listen_edge.train.texts.synthesis import synthesize
from listen_edge.train.texts.writers import Writer, server_writer
from tests.chat_server import Behaviour, chat_server, obedient

LABELS = ("dog", "train", "violin", "crying baby")
CONFIG = SynthesisConfig(shard_size=10, seed=5)
Rows = list[tuple[Row, str]]


def write_good(messages: list[dict[str, Any]], seed: int) -> Completion:
    """Write as the obedient server does, in this process."""
    return Completion(obedient({"messages": messages, "seed": seed}))


def run(
    rows: Rows, ontology: Ontology, out: Path, writer: Writer | None = write_good, **options: Any
) -> dict[str, Any]:
    config = options.pop("config", CONFIG)
    return synthesize(rows, ontology, config, writer, "test", out, **options)


def texts_of(out: Path) -> list[dict[str, Any]]:
    shards = sorted(out.glob("*.jsonl"))
    return [json.loads(line) for shard in shards for line in shard.read_text().splitlines()]


def bytes_of(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


@contextmanager
def served(behave: Behaviour, *, retries: int = 1, timeout_s: float = 5.0) -> Iterator[Writer]:
    with chat_server(behave) as server:
        endpoint = ChatEndpoint(
            server.url, "m", retries=retries, timeout_s=timeout_s, backoff_s=0.001
        )
        with server_writer(endpoint, CONFIG) as writer:
            yield writer
