"""Runs that are broken off lose and repeat nothing; foreign or damaged folders are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from listen_edge.chat import Completion, EndpointError
from listen_edge.errors import ListenEdgeError
from listen_edge.ontology import Ontology
from listen_edge.train.texts.assignments import SynthesisConfig
from tests.chat_server import Behaviour, Reply, obedient, said
from tests.synthesis.runs import Rows, bytes_of, run, served, write_good


def broken_after(n: int, failure: Reply | None) -> Behaviour:
    """Return a server that is obedient for n requests and then fails for good."""
    return lambda number, body: said(obedient(body)) if number < n else failure


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ((500, b"out of memory"), r"HTTP 500 \(out of memory\) in 2 tries"),
        ((200, b"<html>"), "no chat completion"),
        ((200, b'{"choices": []}'), "no chat completion"),
        (None, "no answer in time"),
    ],
    ids=["500", "html", "no choices", "time-out"],
)
def test_dying_server_loses_and_repeats_nothing(
    rows: Rows,
    ontology: Ontology,
    tmp_path: Path,
    failure: Reply | None,
    message: str,
    concurrency: int,
) -> None:
    answered: list[str] = []

    def count(number: int, body: dict[str, Any]) -> Reply:
        answered.append(f"{body['seed']} {body['messages'][-1]}")
        return said(obedient(body))

    def dying(number: int, body: dict[str, Any]) -> Reply | None:
        return count(number, body) if number < 17 else failure

    run(rows, ontology, tmp_path / "unbroken")
    out = tmp_path / "out"
    with served(dying, timeout_s=0.2) as writer, pytest.raises(EndpointError, match=message):
        run(rows, ontology, out, writer, concurrency=concurrency)
    assert (out / "texts-00000.jsonl").exists()
    assert not (out / "report.json").exists()
    with served(count) as writer:
        run(rows, ontology, out, writer, concurrency=concurrency)
    assert bytes_of(out) == bytes_of(tmp_path / "unbroken")
    assert len(answered) == len({*answered})


class Killed(BaseException):
    """Ends a run as a signal would: nothing of ours catches it."""


@pytest.mark.parametrize("n_written", [0, 3, 10, 25])
def test_killed_run_ends_with_the_same_bytes(
    rows: Rows, ontology: Ontology, tmp_path: Path, n_written: int
) -> None:
    left = iter(range(n_written))

    def write(messages: list[dict[str, Any]], seed: int) -> Completion:
        if next(left, None) is None:
            raise Killed
        return write_good(messages, seed)

    out = tmp_path / "out"
    with pytest.raises(Killed):
        run(rows, ontology, out, write)
    for journal in out.glob("*.part"):  # and the last line is torn
        with journal.open("a") as file:
            file.write('{"v": 1, "dataset": "lab')
    run(rows, ontology, out)
    run(rows, ontology, tmp_path / "unbroken")
    assert bytes_of(out) == bytes_of(tmp_path / "unbroken")


def test_finished_run_asks_nothing_again(rows: Rows, ontology: Ontology, tmp_path: Path) -> None:
    run(rows, ontology, tmp_path)
    before = bytes_of(tmp_path)

    def never(messages: list[dict[str, Any]], seed: int) -> Completion:
        raise AssertionError("asked again")

    run(rows, ontology, tmp_path, never)
    assert bytes_of(tmp_path) == before


def test_server_that_says_nothing_is_stopped(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    config = SynthesisConfig(seed=5)
    with (
        served(lambda number, body: said("")) as writer,
        pytest.raises(EndpointError, match="wrote nothing for 20 texts in a row"),
    ):
        run(rows, ontology, tmp_path / "out", writer, config=config)
    run(rows, ontology, tmp_path / "out", config=config)
    run(rows, ontology, tmp_path / "unbroken", config=config)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "unbroken")


def test_folder_of_another_config_is_refused(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    run(rows, ontology, tmp_path)
    with pytest.raises(ListenEdgeError, match="another config or other data; choose another --out"):
        run(rows, ontology, tmp_path, config=SynthesisConfig(shard_size=10, seed=6))
    with pytest.raises(ListenEdgeError, match="another config or other data"):
        run(rows[:4], ontology, tmp_path)


def test_folder_of_foreign_texts_is_refused(rows: Rows, ontology: Ontology, tmp_path: Path) -> None:
    (tmp_path / "texts-00000.jsonl").write_text("{}\n")
    with pytest.raises(ListenEdgeError, match=r"without config\.json"):
        run(rows, ontology, tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-30], "its last line is cut off"),
        (lambda text: text.split("\n", 1)[1], "damaged, or of another run"),
        (lambda text: "\0" * len(text) + "\n", ":1: damaged"),
        (lambda text: text[: text.rindex("\n", 0, -1) + 1], "9 texts, expected 10"),
    ],
    ids=["torn", "line lost", "zeroed", "short"],
)
def test_damaged_shard_is_named(
    rows: Rows, ontology: Ontology, tmp_path: Path, damage: Any, message: str
) -> None:
    run(rows, ontology, tmp_path)
    shard = tmp_path / "texts-00001.jsonl"
    shard.write_text(damage(shard.read_text()))
    with pytest.raises(ListenEdgeError, match=message) as caught:
        run(rows, ontology, tmp_path)
    assert str(caught.value).startswith(str(shard))
    assert "delete it and run again" in str(caught.value)


def test_out_that_is_a_file_is_one_line(rows: Rows, ontology: Ontology, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("")
    with pytest.raises(ListenEdgeError, match=r"out: cannot be used as --out"):
        run(rows, ontology, out)
