"""The command scan: an archive of recordings in, tables out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from listen_edge.cli.listen_options import event_options, listen_config, with_tuned_thresholds
from listen_edge.cli.options import engine_options
from listen_edge.cli.scan_review import Reviewing, review, review_options
from listen_edge.errors import require
from listen_edge.runtime.listening.liveness import LivenessConfig
from listen_edge.runtime.thresholds import Thresholds, chosen_thresholds

if TYPE_CHECKING:
    from listen_edge.bundle.opening import Bundle
    from listen_edge.runtime.archive.description import Unit
    from listen_edge.runtime.archive.job import Job
    from listen_edge.runtime.archive.scan_config import ScanConfig
    from listen_edge.runtime.listening.listen_config import ListenConfig


_DEFAULT = signal.SIG_DFL  # under nohup SIGHUP is ignored, and stays so


class _Amount(click.ParamType):  # type: ignore[type-arg]  # generic from 8.2 on
    """A resource of each worker, such as gpu=0.25."""

    name = "name=amount"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        name, _, amount = value.partition("=")
        try:
            found = name.strip(), float(amount)
        except ValueError:
            found = "", 0.0
        if not found[0] or not 0 < found[1] < 1e6:
            self.fail(f"{value!r}: expected NAME=AMOUNT, such as gpu=0.25", param, ctx)
        return found


@click.command()
@click.argument("inputs", nargs=-1, metavar="[INPUT...]")
@click.option("--ask", "questions", multiple=True, help="A question; repeatable.")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write; holds the same scan that was stopped: go on.",
)
@click.option("--events", is_flag=True, help="One row per event instead of window and question.")
@click.option("--path-column", default="path", help="Of a manifest: the recordings.")
@click.option("--time-column", help="Of a manifest: when they begin.  [default: found by name]")
@click.option("--timezone", help="IANA name, of clocks that do not say theirs.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Processes, on Ray.  [default: one without, or all that --address has room for]",
)
@click.option("--address", help="Of a Ray cluster to join.")
@click.option(
    "--resources", type=_Amount(), multiple=True, help="Of each worker: gpu=0.25; repeatable."
)
@review_options
@event_options
@engine_options
def scan(
    inputs: tuple[str, ...],
    questions: tuple[str, ...],
    out: Path,
    events: bool,
    path_column: str,
    time_column: str | None,
    timezone: str | None,
    workers: int | None,
    address: str | None,
    resources: tuple[tuple[str, float], ...],
    bundle: str,
    backend: str,
    threads: int | None,
    llm: str,
    **options: Any,
) -> int:
    """Hear any number of recordings, and write tables (parquet) of what is in them.

    An INPUT is a recording, a folder, a pattern, a list (.txt), a manifest (.csv, .parquet) whose
    columns are carried along, or a URL of one of these. A scan that was stopped or killed goes on
    where it was. What cannot be heard is told in OUT/failed.parquet.

    Without --events, --on and --off are what makes a window present and absent, as for `ask`. With
    --sample or --mine and without INPUT, OUT is a scan that is done.
    """
    require("pyarrow", "scan")
    reviewing = Reviewing.taken_from(options)
    if not inputs and reviewing.is_wanted:
        return review(out, reviewing, questions)
    if not questions:
        raise click.UsageError("Missing option '--ask'.")
    if resources and workers is None and address is None:
        raise click.UsageError("--resources are those of --workers, or of a cluster at --address.")
    reviewing.check(of_events=events)
    from listen_edge.bundle.opening import open_bundle
    from listen_edge.runtime.archive.job import begin
    from listen_edge.runtime.archive.listing.inputs import ListingOptions, list_recordings

    opened = open_bundle(bundle)
    config = _config(opened, questions, events, llm=llm, backend=backend, **options)
    listing = list_recordings(inputs, ListingOptions(path_column, time_column, timezone))
    for note in listing.notes:
        click.echo(f"listen-edge: {note}", err=True)
    wanted = _Wanted(workers, threads, address, dict(resources))
    with begin(out, config.describe(), listing.table) as job, _saying_how_to_go_on():
        _run(job, config, opened, wanted)
    return review(out, reviewing, ())


class _Wanted(NamedTuple):
    """Who is to hear, as the options say."""

    workers: int | None
    threads: int | None
    address: str | None
    resources: dict[str, float]


def _config(
    opened: Bundle,
    questions: tuple[str, ...],
    events: bool,
    *,
    on: float | None,
    off: float | None,
    llm: str,
    backend: str,
    **options: Any,
) -> ScanConfig:
    """Return what is asked; --on and --off are those of events, without events of states."""
    from listen_edge.runtime.archive.scan_config import ScanConfig

    state = Thresholds(opened.manifest.on_threshold, opened.manifest.off_threshold)
    if events:
        listening = _listening(opened, on=on, off=off, **options)
    else:
        listening, state = (
            _listening(opened, on=None, off=None, **options),
            chosen_thresholds(on, off, state),
        )
    unit: Unit = "events" if events else "answers"
    return ScanConfig.of(opened, questions, listening, unit, state=state, llm=llm, backend=backend)


def _listening(opened: Bundle, **options: Any) -> ListenConfig:
    """Return what the options of event_options describe."""
    config = listen_config(
        opened.manifest.events,
        **options,
        save_clips=None,
        stall_timeout=LivenessConfig.silent_after_s,
        waits_for_device=False,
    )
    return with_tuned_thresholds(config, options["thresholds_path"], opened)


def _run(job: Job, config: ScanConfig, opened: Bundle, wanted: _Wanted) -> None:
    """Hear what is left of a job, and print what became of it."""
    from listen_edge.cli.scan_progress import progress
    from listen_edge.runtime.archive.run import in_process, remaining, run
    from listen_edge.runtime.threads import usable_cores

    left = remaining(job, config.hop_s)
    with progress(job, left) as shown:
        if wanted.address is None and (wanted.workers or 1) == 1:
            hear_all = in_process(job, config, wanted.threads or usable_cores(), shown.tell)
        else:
            from listen_edge.runtime.archive.cluster import Workers, on_ray

            n, threads = wanted.workers, wanted.threads
            if threads is None:
                threads = 1 if n is None or wanted.address else max(1, usable_cores() // n)
            workers = Workers(n, threads, wanted.address, wanted.resources)
            hear_all = on_ray(job, config, workers, shown.tell)
        n_unheard = run(job, config, opened, left, hear_all, shown.tell)
    click.echo(shown.summary(n_unheard))


@contextmanager
def _saying_how_to_go_on() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a scan as Ctrl-C does: copies and workers go with it."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        for one in numbers:  # `timeout` sends two: the second would end what frees engines
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(128 + number)  # the shell's own code: the scan is not done

    numbers = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) == _DEFAULT]
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        with suppress(OSError):  # the terminal has gone
            click.echo("listen-edge: stopped; the same command goes on", err=True)
        raise
    finally:
        for number in numbers:
            signal.signal(number, _DEFAULT)
