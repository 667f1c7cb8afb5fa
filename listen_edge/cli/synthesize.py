"""The command that has an LLM write about sounds that are there and sounds that are not."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.options import PATH
from listen_edge.errors import ListenEdgeError

if TYPE_CHECKING:
    from listen_edge.train.texts.assignments import SynthesisConfig
    from listen_edge.train.texts.writers import Writer

KINDS = ["positive", "negative", "combined", "yes_no", "synonym", "hypernym"]


@click.command()
@click.option(
    "--data", multiple=True, required=True, help="esc50:DIR, clotho:DIR, ...; repeatable."
)
@click.option("--ontology", required=True, type=PATH, help="AudioSet's ontology.json.")
@click.option("--llm", type=PATH, help="GGUF that writes, in this process.")
@click.option("--server", help="OpenAI-compatible address that writes, up to and including /v1.")
@click.option("--model", help="As --server names it.")
@click.option("--templates-only", is_flag=True, help="No LLM: texts of tables and ontology alone.")
@click.option(
    "--out", required=True, type=PATH, help="Folder of the shards; holds this run: go on."
)
@click.option("--seed", default=0, help="Of every draw and of the LLM.")
@click.option("--kinds", multiple=True, type=click.Choice(KINDS), help="Repeatable. [default: all]")
@click.option("--n-per-row", type=click.IntRange(1), default=1, help="Multiplies texts per kind.")
@click.option("--limit", type=click.IntRange(1), help="Of different tags and captions.")
@click.option("--concurrency", type=click.IntRange(1, 1024), default=8, help="With --server.")
@click.option("--threads", type=click.IntRange(1, 256), default=2, help="With --llm.")
@click.option("--timeout", "timeout_s", default=60.0, help="Seconds for a reply of --server.")
@click.option("--retries", type=click.IntRange(0, 20), default=4, help="Of a failed request.")
@click.option("--config", "more", default="{}", help="Further fields of SynthesisConfig as JSON.")
@click.option("--api-key", envvar="LISTEN_EDGE_API_KEY", help="[env: LISTEN_EDGE_API_KEY]")
def synthesize(
    data: tuple[str, ...],
    ontology: Path,
    out: Path,
    concurrency: int,
    **options: Any,
) -> None:
    """Write positive, negative and combined text and questions about recordings, as JSONL shards.

    Recordings with the same tags and caption share their texts. Killed at any time and started
    again, a run goes on where it was and ends with the same bytes.
    """
    from listen_edge.ontology import Ontology
    from listen_edge.train.texts.synthesis import read_rows
    from listen_edge.train.texts.synthesis import synthesize as run

    config = _config(**options)
    rows, known = read_rows(data), Ontology.read(ontology)
    opened, backend = _writer(config, **options)
    with opened as writer, _Progress() as advance:
        report = run(
            rows,
            known,
            config,
            writer,
            backend,
            out,
            concurrency=concurrency if options["server"] else 1,
            on_progress=advance,
        )
    figures = report["backends"][backend]
    click.echo(
        f"{out}: {report['texts']} texts ("
        + ", ".join(f"{n} {source}" for source, n in report["by_source"].items())
        + f"); {figures['n_refused']} of {figures['n_tries']} written texts refused"
    )


def _config(
    more: str,
    kinds: tuple[str, ...],
    seed: int,
    n_per_row: int,
    limit: int | None,
    **_: Any,
) -> SynthesisConfig:
    import json
    from dataclasses import fields

    from listen_edge.train.texts.assignments import SynthesisConfig

    try:
        further = json.loads(more)
    except ValueError as err:
        raise ListenEdgeError(f"--config: not JSON ({err})") from err
    known = {field.name for field in fields(SynthesisConfig)}
    if not isinstance(further, dict) or {*further} - known:
        raise ListenEdgeError(f"--config: expected a JSON object with some of {sorted(known)}")
    given = {"seed": seed, "n_per_row": n_per_row, "limit": limit}
    return SynthesisConfig(**{**given, "kinds": kinds or tuple(KINDS), **further})


def _writer(
    config: SynthesisConfig,
    llm: Path | None,
    server: str | None,
    model: str | None,
    templates_only: bool,
    threads: int,
    timeout_s: float,
    retries: int,
    api_key: str | None,
    **_: Any,
) -> tuple[AbstractContextManager[Writer | None], str]:
    """Return the writer asked for, and its name for the report."""
    if [llm is not None, server is not None, templates_only].count(True) != 1:
        raise click.UsageError("give one of --llm, --server and --templates-only")
    if llm is not None:
        from listen_edge.train.texts.writers import gguf_writer

        return gguf_writer(llm, config, threads), f"gguf:{llm.name}"
    if server is not None:
        from listen_edge.chat import ChatEndpoint
        from listen_edge.train.texts.writers import server_writer

        if model is None:
            raise click.UsageError("--server needs --model")
        endpoint = ChatEndpoint(
            server, model, api_key=api_key, timeout_s=timeout_s, retries=retries
        )
        return server_writer(endpoint, config), f"server:{model}"
    return nullcontext(None), "none"


class _Progress:
    """One bar on stderr, called with the number of finished texts and of all."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = ("texts", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("texts", total=None)

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, n_done: int, n_all: int) -> None:
        self._bar.update(self._task, completed=n_done, total=n_all)
