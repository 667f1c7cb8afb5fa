"""Synthesis end to end: the plan, shards, resuming, failing servers, and the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from listen_edge.chat import ChatEndpoint, Completion, EndpointError
from listen_edge.cli.synthesize import synthesize as command
from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.ontology import Ontology
from listen_edge.train.datasets import Row
from listen_edge.train.texts.assignments import KINDS, SynthesisConfig, plan
from listen_edge.train.texts.knowledge import Knowledge
from listen_edge.train.texts.synthesis import read_rows, synthesize
from listen_edge.train.texts.writers import Writer, gguf_writer, server_writer
from tests.chat_server import Behaviour, Reply, chat_server, obedient, said
from tests.small_ontology import write_ontology

LABELS = ("dog", "train", "violin", "crying baby")
CONFIG = SynthesisConfig(shard_size=10, seed=5)
Rows = list[tuple[Row, str]]


def write_good(messages: list[dict[str, Any]], seed: int) -> Completion:
    """Write as the obedient server does, in this process."""
    return Completion(obedient({"messages": messages, "seed": seed}))


@pytest.fixture(scope="module")
def ontology_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ontology(tmp_path_factory.mktemp("ontology") / "ontology.json")


@pytest.fixture(scope="module")
def ontology(ontology_path: Path) -> Ontology:
    return Ontology.read(ontology_path)


@pytest.fixture
def rows() -> Rows:
    """Two clips of each label, and one with two labels."""
    named = [(f"audio/{k}-{label}.wav", (label,)) for k in range(2) for label in LABELS]
    named.append(("audio/both.wav", ("train", "dog")))
    return [(Row(Path(name), tags, dataset="labelled"), name) for name, tags in named]


@pytest.fixture
def labelled(tmp_path: Path, rows: Rows) -> str:
    """The same clips as a folder; nothing but their names is read."""
    folder = tmp_path / "clips"
    (folder / "audio").mkdir(parents=True)
    lines = ["filename,label"]
    for row, name in rows[:8]:
        (folder / name).write_bytes(b"")
        lines.append(f"{Path(name).name},{row.tags[0]}")
    (folder / "meta.csv").write_text("\n".join(lines) + "\n")
    return f"labelled:{folder}"


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


def test_texts_are_written_once_per_tags_and_not_per_clip(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    report = run(rows, ontology, tmp_path)
    lines = texts_of(tmp_path)
    positive = [line for line in lines if line["kind"] == "positive"]
    assert len(positive) == 2 * 5  # 9 clips, 5 different tags
    assert report["texts"] == len(lines)
    assert {line["n_clips"] for line in lines if line["tags"] == ["dog"]} == {2}
    assert {line["path"] for line in lines if line["tags"] == ["dog"]} == {"audio/0-dog.wav"}


def test_line_has_the_agreed_fields(rows: Rows, ontology: Ontology, tmp_path: Path) -> None:
    config = SynthesisConfig(kinds=("positive", "yes_no"), template_share=0.0)
    run(rows[:1] + rows[1:2], ontology, tmp_path, config=config)
    first, *_, asked = texts_of(tmp_path)
    assert {name: first[name] for name in ("v", "dataset", "path", "tags", "kind", "prompt")} == {
        "v": 1,
        "dataset": "labelled",
        "path": "audio/0-dog.wav",
        "tags": ["dog"],
        "kind": "positive",
        "prompt": "Replay the audio.",
    }
    assert first["text"] == f"This is dog, number {first['seed']}."
    assert (first["source"], first["answer"], first["concept"]) == ("llm", None, None)
    assert asked["prompt"] == f"Can you hear {asked['concept']} in this recording?"
    assert (asked["text"], asked["answer"]) == ("No.", "no")


def test_absent_names_are_labels_that_are_not_there(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    run(rows, ontology, tmp_path)
    for line in texts_of(tmp_path):
        assert not {*line["absent"]} & {*line["tags"]}
        assert {*line["absent"]} <= {*LABELS}
        if line["kind"] in ("negative", "combined"):
            assert 1 <= len(line["absent"]) <= CONFIG.n_absent


def test_questions_are_half_yes_and_half_no(rows: Rows, ontology: Ontology, tmp_path: Path) -> None:
    run(rows, ontology, tmp_path)
    yes_no = [line["answer"] for line in texts_of(tmp_path) if line["kind"] == "yes_no"]
    assert yes_no.count("yes") == yes_no.count("no") == 10


@pytest.mark.parametrize("kind", ["synonym", "hypernym"])
def test_labels_without_other_names_or_kinds_are_asked_neither_way(
    ontology: Ontology, kind: str
) -> None:
    rows = [(Row(Path(name), (name,)), name) for name in ("xyzzy", "dog", "train", "violin")]
    knowledge = Knowledge(ontology, {name for _, name in rows})
    planned = plan(rows, SynthesisConfig(kinds=(kind,)), knowledge)
    assert [(one.tags[0], one.answer) for one in planned].count(("dog", "yes")) == 1
    assert "xyzzy" not in {one.tags[0] for one in planned}
    answers = [one.answer for one in planned]
    assert answers.count("yes") == answers.count("no") == 3


def test_what_any_caption_of_a_clip_names_is_not_absent(ontology: Ontology) -> None:
    def row(name: str, caption: str) -> tuple[Row, str]:
        return Row(Path(name), (), caption, dataset="clotho"), name

    rows = [row("a.wav", "A dog barks"), row("a.wav", "A train is near"), row("b.wav", "A piano")]
    knowledge = Knowledge(ontology, ())
    planned = plan(rows, SynthesisConfig(n_per_row=4), knowledge)
    heard = [one for one in planned if one.caption == "A dog barks"]
    assert {one.kind for one in heard} >= {"positive", "negative", "combined"}
    assert {name for one in heard for name in one.absent} == {"piano"}


def test_refused_text_is_tried_with_another_seed(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    seeds: dict[str, list[int]] = {}

    def write(messages: list[dict[str, Any]], seed: int) -> Completion:
        asked = seeds.setdefault(messages[-1]["content"], [])
        asked.append(seed)
        return Completion("") if len(asked) == 1 else write_good(messages, seed)

    config = SynthesisConfig(kinds=("positive",), ratios={"positive": 1}, template_share=0.0)
    report = run(rows, ontology, tmp_path, write, config=config)
    assert all(second == first + 1 for first, second in seeds.values())
    assert report["backends"]["test"] == {
        "n_tries": 10,
        "n_refused": 5,
        "rejection_rate": 0.5,
        "rate_by_reason": {"empty": 0.5},
    }
    assert report["by_source"] == {"llm": 5}


def test_text_refused_too_often_is_a_templates(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    def deny(messages: list[dict[str, Any]], seed: int) -> Completion:
        return Completion("There is no dog and no train and no violin and no baby crying.")

    report = run(rows, ontology, tmp_path, deny)
    assert {line["source"] for line in texts_of(tmp_path)} <= {"template", "ontology"}
    assert report["backends"]["test"]["rejection_rate"] == 1.0
    assert report["by_kind"]["negative"]["rejection_rate"] == 1.0
    assert report["refused_examples"]["denies a present sound"][0].endswith("and no baby crying.")


def test_share_of_templates_from_the_start_is_kept(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    config = SynthesisConfig(n_per_row=10, template_share=0.25)
    report = run(rows, ontology, tmp_path, config=config)
    share = 1 - report["by_source"]["llm"] / report["texts"]
    assert share == pytest.approx(0.25, abs=0.05)
    assert report["backends"]["test"]["n_refused"] == 0


def test_bytes_do_not_depend_on_concurrency_or_order(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    with served(lambda number, body: said(obedient(body))) as writer:
        run(rows, ontology, tmp_path / "eight", writer, concurrency=8)
    run(rows[::-1], ontology, tmp_path / "one")
    assert bytes_of(tmp_path / "eight") == bytes_of(tmp_path / "one")
    assert len(list((tmp_path / "one").glob("*.jsonl"))) > 3


def test_another_seed_writes_other_texts(rows: Rows, ontology: Ontology, tmp_path: Path) -> None:
    run(rows, ontology, tmp_path / "a")
    run(rows, ontology, tmp_path / "b", config=SynthesisConfig(shard_size=10, seed=6))
    assert texts_of(tmp_path / "a") != texts_of(tmp_path / "b")


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


def test_gguf_writes_the_same_for_the_same_seed(llama_gguf: Path) -> None:
    config = SynthesisConfig(max_tokens=12)
    ask = [{"role": "user", "content": "Name it."}]
    with gguf_writer(llama_gguf, config, 1) as writer:
        first = writer(ask, 7)
        other = writer([{"role": "user", "content": "Name that, and more."}], 8)
        assert writer(ask, 7) == first
    assert first.is_cut
    assert first.text != other.text


def test_gguf_that_is_none_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "no.gguf"
    with (
        pytest.raises(BundleError, match="no such file"),
        gguf_writer(path, SynthesisConfig()),
    ):
        pass
    path.write_bytes(b"no model")
    with (
        pytest.raises(BundleError, match=r"llama\.cpp cannot load it"),
        gguf_writer(path, SynthesisConfig()),
    ):
        pass


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kinds": ("sideways",)}, "kinds sideways, expected different ones of positive"),
        ({"kinds": ()}, "kinds none"),
        ({"template_share": 1.5}, "template_share 1.5, expected 0 to 1"),
        ({"n_tries": 0}, "n_tries 0, expected at least 1"),
    ],
)
def test_config_is_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ListenEdgeError, match=message):
        SynthesisConfig(**fields)


def test_rows_without_tags_or_caption_are_left_out(labelled: str) -> None:
    rows = read_rows([labelled])
    assert [path for _, path in rows][:2] == ["audio/0-dog.wav", "audio/0-train.wav"]


def invoke(labelled: str, ontology_path: Path, out: Path, *options: str) -> Result:
    fixed = ["--data", labelled, "--ontology", str(ontology_path), "--out", str(out)]
    return CliRunner().invoke(command, [*fixed, *options])


def test_command_writes_with_a_server(labelled: str, ontology_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with chat_server(lambda number, body: said(obedient(body))) as server:
        result = invoke(labelled, ontology_path, out, "--server", server.url, "--model", "big")
    assert result.exit_code == 0, result.output
    report = json.loads((out / "report.json").read_text())
    assert report["backends"]["server:big"]["n_refused"] == 0
    n_llm, n_texts = report["by_source"]["llm"], report["texts"]
    assert result.stdout.startswith(f"{out}: {n_texts} texts ({n_llm} llm, ")
    assert {line["kind"] for line in texts_of(out)} == {*KINDS}


def test_command_writes_with_a_gguf(
    labelled: str, ontology_path: Path, tmp_path: Path, llama_gguf: Path
) -> None:
    out = tmp_path / "out"
    more = ("--config", '{"max_tokens": 8, "n_tries": 1}', "--kinds", "positive", "--limit", "2")
    result = invoke(labelled, ontology_path, out, "--llm", str(llama_gguf), *more)
    assert result.exit_code == 0, result.output
    figures = json.loads((out / "report.json").read_text())["backends"]["gguf:llama.gguf"]
    assert figures["rejection_rate"] == 1.0  # a random LLM writes nothing of use
    assert len(texts_of(out)) == 4


def test_command_works_without_an_llm(labelled: str, ontology_path: Path, tmp_path: Path) -> None:
    result = invoke(labelled, ontology_path, tmp_path / "out", "--templates-only")
    assert result.exit_code == 0, result.output
    assert "llm" not in {line["source"] for line in texts_of(tmp_path / "out")}


def test_command_keeps_the_key_out_of_the_folder(
    labelled: str, ontology_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_EDGE_API_KEY", "very-secret")
    with chat_server(lambda number, body: said(obedient(body))) as server:
        options = ("--server", server.url, "--model", "m", "--limit", "1")
        assert invoke(labelled, ontology_path, tmp_path / "out", *options).exit_code == 0
        assert server.headers[0]["Authorization"] == "Bearer very-secret"
    assert all(b"very-secret" not in text for text in bytes_of(tmp_path / "out").values())


@pytest.mark.parametrize(
    "options",
    [(), ("--templates-only", "--llm", "a.gguf"), ("--server", "http://x/v1")],
    ids=["no backend", "two", "no model"],
)
def test_command_wants_one_backend(
    labelled: str, ontology_path: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert invoke(labelled, ontology_path, tmp_path / "out", *options).exit_code == 2


@pytest.mark.parametrize("more", ["{", "[]", '{"colour": 1}'])
def test_command_checks_its_config(
    labelled: str, ontology_path: Path, tmp_path: Path, more: str
) -> None:
    options = ("--templates-only", "--config", more)
    result = invoke(labelled, ontology_path, tmp_path / "out", *options)
    assert isinstance(result.exception, ListenEdgeError)
    assert str(result.exception).startswith("--config: ")
