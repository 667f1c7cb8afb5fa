"""The command and what it writes with: a GGUF, a server, or templates alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from listen_edge.cli.synthesize import synthesize as command
from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.train.texts.assignments import KINDS, SynthesisConfig
from listen_edge.train.texts.synthesis import read_rows
from listen_edge.train.texts.writers import gguf_writer
from tests.chat_server import chat_server, obedient, said
from tests.synthesis.runs import bytes_of, texts_of


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
