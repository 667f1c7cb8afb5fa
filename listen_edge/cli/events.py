"""events: what a service has kept, and what its users' verdicts are good for."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.options import PATH, READABLE, parse_confirm, together
from listen_edge.printable import escaped

if TYPE_CHECKING:
    from listen_edge.runtime.service.records.store import Store
    from listen_edge.runtime.service.records.types import StoredEvent
    from listen_edge.runtime.service.records.verdicts import Advice

_store_options = together(
    click.option(
        "--config",
        type=READABLE,
        help="Of the service, which names both.  [default: as for config check]",
    ),
    click.option("--events", "database", type=PATH, help="Its database of events, instead."),
    click.option("--clips", type=PATH, help="Its folder of clips, with --events."),
)


@click.group("events")
def events_group() -> None:
    """Look at what a service has heard, and use what its users said of it."""


@events_group.command("list")
@_store_options
@click.option("--source", help="Of this source alone (its id).")
@click.option("--question", help="Of this question alone (its id).")
@click.option("--verdict", type=click.Choice(["right", "false_alarm"]), help="Marked so.")
@click.option("--limit", type=click.IntRange(1), default=50, help="The newest so many.")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text")
def list_events(
    config: Path | None,
    database: Path | None,
    clips: Path | None,
    limit: int,
    form: str,
    **wanted: Any,
) -> None:
    """Print events, newest first."""
    with _open(config, database, clips) as store:
        for event in store.events(limit=limit, **wanted):
            click.echo(_json_line(event) if form == "jsonl" else _text_line(event))


@events_group.command("export")
@_store_options
@click.option("--out", type=PATH, required=True, help="An empty folder, or one to be made.")
def export_events(
    config: Path | None, database: Path | None, clips: Path | None, out: Path
) -> None:
    """Write the clips of events that were marked right or false: train with labelled:OUT.

    A right one has its sound as label, a false alarm says that this sound is absent.
    """
    from listen_edge.runtime.service.records.labelled_folder import export_labelled

    with _open(config, database, clips) as store:
        exported = export_labelled(store, out)
    for line in exported.left_out:
        click.echo(f"listen-edge: left out: {escaped(line)}", err=True)
    click.echo(f"{out}: {exported.n_right} right, {exported.n_false} false alarms")


@events_group.command("tune")
@_store_options
@click.option(
    "--confirm",
    metavar="K/N",
    callback=lambda context, option, value: value and parse_confirm(context, option, value),
    help="What the service was told.  [default: that of --config, else the bundle's]",
)
def tune_events(
    config: Path | None,
    database: Path | None,
    clips: Path | None,
    confirm: tuple[int, int] | None,
) -> None:
    """Find higher thresholds that keep what was marked right and leave out false alarms.

    Verdicts speak of what was raised: they cannot tell what was missed, and never lower a
    threshold.
    """
    from listen_edge.runtime.service.records.verdicts import advice

    with _open(config, database, clips) as store:
        newest = store.events(limit=1)
        found = advice(store, confirm or _confirm(config, newest)) if newest else []
    if not found:
        click.echo("no event has a verdict yet: mark some as right or false alarm")
        return
    click.echo(f"{'question':<20}{'on':>8}{'then':>8}  {'right kept':<22}false alarms left")
    for one in found:
        click.echo(_advice_line(one))
    for one in found:
        click.echo(f"{one.question}: {one.why}{_limits(one)}")
    _print_yaml(found)


def _open(config: Path | None, database: Path | None, clips: Path | None) -> Store:
    from listen_edge.runtime.service.records.store import Store

    if config is not None and database is not None:
        raise click.UsageError("give --config or --events, not both")
    if database is None:
        events = _read(config).events
        database, clips = events.path, events.clips
    return Store(database, clips, is_reader=True)


def _read(config: Path | None) -> Any:
    from listen_edge.runtime.service.config.reading import read_config

    return read_config(config).config


def _confirm(config: Path | None, newest: list[StoredEvent]) -> tuple[int, int]:
    """Return the confirmation of a configuration, else of the newest event's bundle."""
    from listen_edge.bundle.opening import read_manifest
    from listen_edge.errors import BundleError
    from listen_edge.runtime.listening.listen_config import ListenConfig

    bundle = newest[0].bundle.partition("@")[0]
    if config is not None:
        read = _read(config)
        if read.defaults.confirm is not None:
            k, n = read.defaults.confirm
            return k, n
        bundle = read.bundle
    try:
        return ListenConfig.of(read_manifest(bundle).events).trigger.confirm
    except BundleError as err:
        raise click.UsageError(f"{err}; give --confirm, as the service was told") from err


def _json_line(event: StoredEvent) -> str:
    fields = {
        name: value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value
        for name, value in asdict(event).items()
    }
    return json.dumps(fields, ensure_ascii=False)


def _text_line(event: StoredEvent) -> str:
    began = event.started_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    said = " ".join(filter(None, (event.verdict, event.note)))
    line = (
        f"{event.id:>6}  {began}  {event.source:<16} {event.question:<20} "
        f"{event.duration_s:6.1f} s  {event.peak_presence:.4f}  {said}"
    )
    return escaped(line.rstrip())


def _advice_line(one: Advice) -> str:
    then = f"{one.then.on:.4f}" if one.then else "-"
    kept = f"{one.n_right_kept} of {one.n_right}"
    if one.n_right:
        kept += f" (at least {one.right_kept_at_least:.0%})"
    left = f"{one.n_false_left} of {one.n_false}"
    return f"{escaped(one.question):<20}{one.now.on:>8.4f}{then:>8}  {kept:<22}{left}"


def _limits(one: Advice) -> str:
    unmarked = f"; {one.n_unmarked} more are not marked" if one.n_unmarked else ""
    if not one.n_left_out:
        return unmarked
    return f"{unmarked}; {one.n_left_out} marked do not count: their presence is not written (yet)"


def _print_yaml(found: list[Advice]) -> None:
    """Print what to write into listen.yaml."""
    changed = [one for one in found if one.then is not None]
    if changed:
        click.echo("questions:")
    for one in changed:
        assert one.then is not None
        words = json.dumps(one.ask, ensure_ascii=False)  # JSON's strings are YAML's
        click.echo(
            f"  - {{id: {one.question}, ask: {words}, on: {one.then.on:g}, off: {one.then.off:g}}}"
        )
