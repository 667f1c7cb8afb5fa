"""Text about sounds that are there and sounds that are not, written by an LLM and guarded.

Plans what is to be written (assignments.py), has it written (writers.py), refuses what is wrong
(guard.py), and falls back on templates (wording.py). The result depends on the config, the data and
the LLM alone: not on concurrency, nor on how often the run was stopped.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from listen_edge.chat import EndpointError
from listen_edge.errors import ListenEdgeError
from listen_edge.ontology import Ontology
from listen_edge.train.datasets import Row, read_dataset
from listen_edge.train.texts.assignments import (
    QUESTION_KINDS,
    Assignment,
    SynthesisConfig,
    digest,
    plan,
)
from listen_edge.train.texts.guard import EMPTY, refusal
from listen_edge.train.texts.knowledge import Knowledge
from listen_edge.train.texts.shards import (
    add_to_journal,
    finish_shard,
    journal_path,
    open_folder,
    read_journal,
    read_shard,
    shard_path,
    write_report,
)
from listen_edge.train.texts.wording import messages, seed_prompt, template_text
from listen_edge.train.texts.writers import Writer

VERSION = 1  # of a line
_MOST_SILENT = 20  # texts in a row for which the LLM wrote nothing at all: it is broken
_KEPT_CHARACTERS = 160  # of a refused text
_N_EXAMPLES = 5  # of refused texts per reason in the report


def read_rows(specs: Iterable[str]) -> list[tuple[Row, str]]:
    """Return the rows of all data sets, each with its path relative to its folder.

    Raises:
        AudioError: a data set is not where it should be.
        ListenEdgeError: no row says what is heard.
    """
    rows = [
        (row, row.path.relative_to(Path(spec.partition(":")[2])).as_posix())
        for spec in specs
        for row in read_dataset(spec)
        if row.tags or row.caption
    ]
    if not rows:
        raise ListenEdgeError("no recording has tags or a caption; expected some to write about")
    return rows


def synthesize(
    rows: Sequence[tuple[Row, str]],
    ontology: Ontology,
    config: SynthesisConfig,
    writer: Writer | None,
    backend: str,
    out: Path,
    *,
    concurrency: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write all texts into shards below `out`, and return the report.

    Args:
        writer: None makes all texts by template.
        backend: the LLM's name; another one may not go on with the same folder.
        concurrency: texts in the making at a time.
        on_progress: called with the number of finished texts and of all.

    Raises:
        EndpointError: the server fails for good; what is finished is kept.
        ListenEdgeError: the folder holds another run, is damaged or cannot be written.
    """
    knowledge = Knowledge(ontology, {tag for row, _ in rows for tag in row.tags})
    assignments = plan(rows, config, knowledge)
    open_folder(out, {**asdict(config), "backend": backend, "plan": digest(assignments)})
    size, lines = config.shard_size, []
    for index, start in enumerate(range(0, len(assignments), size)):
        shard = assignments[start : start + size]

        def advance(n_done: int, start: int = start) -> None:
            on_progress(start + n_done, len(assignments))

        if not shard_path(out, index).exists():
            _write_shard(out, index, shard, writer, knowledge, config, concurrency, advance)
        lines += read_shard(out, index, shard)
        advance(len(shard))
    report = make_report(lines, backend)
    write_report(out, report)
    return report


def write_text(
    assignment: Assignment, writer: Writer | None, knowledge: Knowledge, config: SynthesisConfig
) -> dict[str, Any]:
    """Return a finished line: the first text the guard lets pass, else a template's."""
    refused: list[tuple[str, str]] = []
    text, source = "", "llm"
    n_tries = 0 if assignment.by_template or writer is None else config.n_tries
    for k in range(n_tries):
        assert writer is not None
        written = writer(messages(assignment, knowledge), (assignment.seed + k) % 2**31)
        reason = refusal(written, assignment, knowledge)
        if reason is None:
            text = " ".join(written.text.split())
            break
        refused.append((reason, written.text[:_KEPT_CHARACTERS]))
    if not text:
        text, source = template_text(assignment, knowledge, assignment.seed)
    is_question = assignment.kind in QUESTION_KINDS
    return {
        "v": VERSION,
        "dataset": assignment.dataset,
        "path": assignment.path,
        "tags": list(assignment.tags),
        "kind": assignment.kind,
        "prompt": text if is_question else seed_prompt(assignment),
        "text": f"{assignment.answer}.".capitalize() if is_question else text,
        "source": source,
        "answer": assignment.answer,
        "concept": assignment.concept,
        "seed": assignment.seed,
        "caption": assignment.caption,
        "absent": list(assignment.absent),
        "n_clips": assignment.n_clips,
        "n_tries": len(refused) + (source == "llm"),
        "refused": [list(one) for one in refused],
    }


def make_report(lines: Sequence[dict[str, Any]], backend: str) -> dict[str, Any]:
    """Return how many texts came from where, and how many of the LLM's were refused and why."""
    reasons = Counter(reason for line in lines for reason, _ in line["refused"])
    examples: dict[str, list[str]] = {reason: [] for reason in sorted(reasons)}
    for line in lines:
        for reason, text in line["refused"]:
            about = line["concept"] or ", ".join(line["tags"]) or line["caption"]
            if text and len(examples[reason]) < _N_EXAMPLES:
                examples[reason].append(f"{line['kind']}, {about}: {text}")
    kinds = sorted({line["kind"] for line in lines})
    n_tries = sum(line["n_tries"] for line in lines)
    return {
        "texts": len(lines),
        "clips_times_texts": sum(line["n_clips"] for line in lines),
        "by_source": dict(sorted(Counter(line["source"] for line in lines).items())),
        "by_kind": {kind: _of_kind([x for x in lines if x["kind"] == kind]) for kind in kinds},
        "backends": {
            backend: {
                "n_tries": n_tries,
                "n_refused": sum(reasons.values()),
                "rejection_rate": _rate(sum(reasons.values()), n_tries),
                "rate_by_reason": {k: _rate(n, n_tries) for k, n in sorted(reasons.items())},
            }
        },
        "refused_examples": examples,
    }


def _of_kind(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    n_tries = sum(line["n_tries"] for line in lines)
    n_refused = sum(len(line["refused"]) for line in lines)
    sources = Counter(line["source"] for line in lines)
    return {
        "texts": len(lines),
        **{name: sources[name] for name in sorted(sources)},
        "rejection_rate": _rate(n_refused, n_tries),
    }


def _rate(n: int, total: int) -> float | None:
    return round(n / total, 4) if total else None


def _write_shard(
    out: Path,
    index: int,
    shard: Sequence[Assignment],
    writer: Writer | None,
    knowledge: Knowledge,
    config: SynthesisConfig,
    concurrency: int,
    advance: Callable[[int], None],
) -> None:
    """Write what a shard still lacks; what is finished when an error comes stays in the journal."""
    lines = read_journal(out, index, shard)
    lacking = [place for place in range(len(shard)) if place not in lines]
    silent: list[tuple[int, dict[str, Any]]] = []
    with _open_journal(out, index) as journal:
        for place, line in _written(
            lacking, lambda k: write_text(shard[k], writer, knowledge, config), concurrency
        ):
            if _is_silent(line):
                silent.append((place, line))
                if len(silent) < _MOST_SILENT:
                    continue
                raise EndpointError(
                    f"the LLM wrote nothing for {len(silent)} texts in a row; check it, run again"
                )
            finished = [(place, line)] if line["n_tries"] == 0 else [*silent, (place, line)]
            for done, text in finished:
                add_to_journal(journal, done, text)
                lines[done] = text
            if line["n_tries"]:
                silent.clear()
            advance(len(lines))
        lines |= dict(silent)
    finish_shard(out, index, lines)


def _is_silent(line: dict[str, Any]) -> bool:
    """Tell whether the LLM was asked and wrote nothing: it may be a server that is broken."""
    reasons = [reason for reason, _ in line["refused"]]
    return line["source"] != "llm" and bool(reasons) and {*reasons} == {EMPTY}


def _written(
    places: Sequence[int], write: Callable[[int], dict[str, Any]], concurrency: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield texts as they are finished; after an error, those already in the making, then it."""
    stop, failures = threading.Event(), []

    def unless_stopped(place: int) -> dict[str, Any] | None:
        return None if stop.is_set() else write(place)

    with ThreadPoolExecutor(concurrency) as pool:
        futures = {pool.submit(unless_stopped, place): place for place in places}
        try:
            for future in as_completed(futures):
                try:
                    line = future.result()
                except ListenEdgeError as err:
                    stop.set()
                    failures.append(err)
                    continue
                if line is not None:
                    yield futures[future], line
        finally:
            stop.set()
    if failures:
        raise failures[0]


def _open_journal(out: Path, index: int) -> Any:
    try:
        return journal_path(out, index).open("a", encoding="utf-8")
    except OSError as err:
        raise ListenEdgeError(f"{out}: cannot be written ({err.strerror})") from err
