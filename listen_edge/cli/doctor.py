"""The command doctor: what this device lacks for listening, and the remedy."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from listen_edge.cli.options import engine_options

if TYPE_CHECKING:
    from listen_edge.runtime.measure.doctor import Check


@click.command()
@click.option("--device", help="Audio device: index or part of its name.  [default: the system's]")
@click.option(
    "--ask",
    "questions",
    multiple=True,
    help="A question to time; repeatable.  [default: 8 typical ones]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@engine_options
def doctor(
    device: str | None,
    bundle: str,
    backend: str,
    threads: int | None,
    llm: str,
    questions: tuple[str, ...],
    as_json: bool,
) -> int:
    """Check this device, its microphone and a bundle; exit with 1 if there is a problem."""
    from listen_edge.runtime.measure.doctor import examine

    checks = []
    for check in examine(
        device=device,
        bundle=bundle,
        backend=backend,
        n_threads=threads,
        llm=llm,
        questions=questions,
    ):
        checks.append(check)
        if not as_json:
            click.echo(_text(check))
    if as_json:
        described = {"checks": [asdict(check) for check in checks]}
        click.echo(json.dumps(described, indent=1, ensure_ascii=False))
    return int(any(check.status == "problem" for check in checks))


def _text(check: Check) -> str:
    line = f"{check.status:9}{check.name:18}{check.found}"
    return line if check.remedy is None else f"{line}\n{'':9}-> {check.remedy}"
