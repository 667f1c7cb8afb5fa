"""The command hear: what is there, without having been asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.listen_options import pcm_options
from listen_edge.cli.live_source import live_options, live_source
from listen_edge.cli.options import PATH, head_options, load_head_engine
from listen_edge.cli.telling import tell_error
from listen_edge.errors import AudioError
from listen_edge.runtime.hear_config import HearConfig

if TYPE_CHECKING:
    from listen_edge.cli.stopping import StopSignals
    from listen_edge.runtime.engine import Engine
    from listen_edge.runtime.listening.listen_config import ListenConfig
    from listen_edge.runtime.listening.listener import Line
    from listen_edge.runtime.sources import Source

_LIVE = (Path("mic"),)


@dataclass(frozen=True)
class _Telling:
    """How lines are printed.

    Attributes:
        form: "text" or "jsonl".
        each_window: whether text has a line for each.
    """

    form: str
    each_window: bool

    def tell(self, engine: Engine, lines: Iterable[Line]) -> None:
        """Print the lines of one source, or what they make together."""
        from listen_edge.lines.health import Health
        from listen_edge.lines.heard import HeardLine
        from listen_edge.runtime.listening.timeline import Timeline

        timeline = Timeline(engine.vocabulary.are_alike)
        try:
            for line in lines:
                if self.form == "jsonl":
                    click.echo(line.to_json_line())
                elif isinstance(line, HeardLine) and not self.each_window:
                    for span in timeline.take(line):
                        click.echo(span.to_text_line())
                elif not isinstance(line, Health) or line.message is not None:
                    click.echo(line.to_text_line())
        finally:
            for span in timeline.finish():  # of a recording that breaks off too
                click.echo(span.to_text_line())


@click.command()
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...|mic")
@live_options
@pcm_options
@click.option("--top", type=click.IntRange(1), default=HearConfig.top, help="Sounds of a window.")
@click.option(
    "--least", type=float, default=HearConfig.least, help="Presence from which a sound is told."
)
@click.option("--hop", type=float, help="Seconds between windows.  [default: the bundle's]")
@click.option("--each-window", is_flag=True, help="A line for each window of 5 s.")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text")
@head_options
def hear(
    files: tuple[Path, ...],
    wait_for_device: bool,
    top: int,
    least: float,
    hop: float | None,
    each_window: bool,
    form: str,
    bundle: str,
    backend: str,
    threads: int | None,
    **live: Any,
) -> int:
    """Tell what is heard in recordings or at a microphone, out of the bundle's vocabulary.

    Recordings as for ask: a folder stands for all below it, - for one on standard input. JSON lines
    are of each window; text merges windows of one sound unless --each-window is given. The LLM is
    not loaded.
    """
    hearing, telling = HearConfig(top, least), _Telling(form, each_window)
    load = partial(load_head_engine, bundle, backend, threads)
    if files == _LIVE:
        from listen_edge.runtime.listening.listen_config import ListenConfig

        config = ListenConfig(hop_s=hop, hearing=hearing, waits_for_device=wait_for_device)
        return _hear_live(live_source(**live), load, config, telling)
    if wait_for_device or live["is_stdin"] or (live["device"] or live["url"]) is not None:
        raise click.UsageError("--device, --url, --stdin and --wait-for-device go with hear mic")
    with load() as engine:
        return _hear_files(engine, files, hearing, hop, telling)


def _hear_files(
    engine: Engine,
    files: Sequence[Path],
    hearing: HearConfig,
    hop: float | None,
    telling: _Telling,
) -> int:
    """Tell what recordings hold; one that cannot be heard is a line on stderr, as in ask."""
    from listen_edge.runtime.listening.asking import hear_recording, named_recordings

    n_failed = 0
    for name, path in named_recordings(files):
        try:
            if isinstance(path, AudioError):  # a folder without recordings
                raise path
            telling.tell(engine, hear_recording(engine, path, hearing, source=name, hop_s=hop))
        except AudioError as err:
            n_failed += 1
            tell_error(err, telling.form)
    return int(n_failed > 0)


def _hear_live(
    opener: Callable[[], Source],
    load: Callable[[], Engine],
    config: ListenConfig,
    telling: _Telling,
) -> int:
    """Tell what a live source holds until it ends or a signal comes."""
    from listen_edge.cli.listening import (
        is_live_view,
        lines_until_stopped,
        make_sure_it_hears,
        show_live,
        until_stopped,
    )

    def listen(signals: StopSignals) -> int:
        from listen_edge.runtime.listening.listener import Listener
        from listen_edge.runtime.listening.timeline import Timeline

        source = opener()
        with load() as engine:
            make_sure_it_hears(engine)
            listener = Listener(engine, source, [], config)
            with lines_until_stopped(listener, source, signals) as lines:
                if is_live_view(source, telling.form) and not telling.each_window:
                    show_live(listener, lines, Timeline(engine.vocabulary.are_alike))
                else:
                    telling.tell(engine, lines)
        return 0

    return until_stopped(telling.form, listen)
