"""What mic and replay share: sources in turn, heard and shown until they end or a signal comes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.listen_options import listen_config, with_tuned_thresholds
from listen_edge.cli.options import load_engine
from listen_edge.cli.stopping import StopSignals
from listen_edge.cli.telling import tell_error
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.lines.error import ErrorLine
from listen_edge.runtime.hear_config import HearConfig

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine
    from listen_edge.runtime.listening.listen_config import ListenConfig
    from listen_edge.runtime.listening.listener import Line, Listener
    from listen_edge.runtime.listening.timeline import Timeline
    from listen_edge.runtime.sources import Source


def listen_in_turn(
    openers: Iterable[Callable[[], Source]],
    *,
    questions: tuple[str, ...],
    form: str,
    bundle: str,
    backend: str,
    threads: int | None,
    llm: str,
    **options: Any,
) -> int:
    """Listen to each source in turn and print what is heard; return the exit code."""
    from listen_edge.question import parse_concept

    for question in questions:
        parse_concept(question)  # a bad question fails before anything is loaded

    def listen(signals: StopSignals) -> int:
        listen_config(**options)  # what cannot be fails before anything is loaded
        sources = [_opened(opener) for opener in openers]
        if len(sources) == 1 and isinstance(sources[0], AudioError):
            raise sources[0]  # before anything is loaded
        with load_engine(bundle, backend, threads, llm) as engine:
            make_sure_it_hears(engine)
            config = listen_config(engine.bundle.manifest.events, **options)
            config = with_tuned_thresholds(config, options["thresholds_path"], engine.bundle)
            n_failed = 0
            for source in sources:
                if signals.exit_code is not None:
                    break
                try:
                    n_failed += _show_one(engine, source, questions, config, form, signals)
                except AudioError as err:
                    if len(sources) == 1:
                        raise
                    n_failed += 1  # the others are heard
                    tell_error(err, form)
        return n_failed

    return until_stopped(form, listen)


def until_stopped(form: str, listen: Callable[[StopSignals], int]) -> int:
    """Listen until that ends or a signal comes; return the exit code.

    Args:
        form: of the lines; an error is one of them where they are JSON.
        listen: returns how many sources could not be heard.
    """
    with StopSignals() as signals:
        try:
            n_failed = listen(signals)
        except ListenEdgeError as err:
            if form == "jsonl":
                click.echo(ErrorLine(str(err)).to_json_line())
            raise
        return signals.exit_code or int(n_failed > 0)


def make_sure_it_hears(engine: Engine) -> None:
    """Make sure that the engine hears, before it says of hours that nothing was there."""
    from listen_edge.runtime.verify import self_test

    self_test(engine)


@contextmanager
def lines_until_stopped(
    listener: Listener, source: Source, signals: StopSignals
) -> Iterator[Iterator[Line]]:
    """Give the lines of one source until it ends or a signal comes."""
    signals.on_deadline = source.close
    signals.on_stop = listener.stop
    if signals.exit_code is not None:  # since the last look
        listener.stop()
    with closing(iter(listener)) as lines:  # the source is closed though stdout may be gone
        yield lines


def _opened(opener: Callable[[], Source]) -> Source | AudioError:
    try:
        return opener()
    except AudioError as err:
        return err


def _show_one(
    engine: Engine,
    source: Source | AudioError,
    questions: tuple[str, ...],
    config: ListenConfig,
    form: str,
    signals: StopSignals,
) -> int:
    """Listen to one source and return how many of its recordings could not be heard whole."""
    # Loads llama.cpp, which takes long.
    from listen_edge.runtime.listening.listener import Listener
    from listen_edge.runtime.sources.file import FolderSource

    if isinstance(source, AudioError):
        raise source
    if is_live_view(source, form) and engine.bundle.manifest.head is not None:
        config = replace(config, hearing=HearConfig())
    listener = Listener(engine, source, questions, config)
    signals.on_swap = partial(listener.swap_adapter, str(engine.bundle.folder))
    _show_all(listener, source, form, signals)
    return len(source.failed) if isinstance(source, FolderSource) else 0


def _show_all(listener: Listener, source: Source, form: str, signals: StopSignals) -> None:
    """Listen to one source until it ends or a signal comes."""
    with lines_until_stopped(listener, source, signals) as lines:
        if form == "jsonl":
            for line in lines:
                click.echo(line.to_json_line())
        elif is_live_view(source, form):
            show_live(listener, lines)
        else:
            _show_changes(lines)


def is_live_view(source: Source, form: str) -> bool:
    """Tell whether a source is shown rather than told line by line."""
    return form == "text" and source.is_live and sys.stdout.isatty()


def show_live(listener: Listener, lines: Iterable[Line], timeline: Timeline | None = None) -> None:
    """Draw lines as they come; a timeline, if any, is drawn in place of events."""
    from rich.console import Console

    from listen_edge.cli.live_view import LiveView

    questions, on = listener.questions, listener.on_thresholds
    with LiveView(questions, on, Console(), timeline) as view:
        for line in lines:
            view.show(line)


def _show_changes(lines: Iterable[Line]) -> None:
    """Print events, health messages, and answers when their state changes."""
    from listen_edge.lines.answer import Answer
    from listen_edge.lines.health import Health

    states: dict[str, tuple[str, str | None]] = {}
    for line in lines:
        if isinstance(line, Answer):
            state = line.state, line.reason
            is_news = states.get(line.question) != state
            states[line.question] = state
        else:
            is_news = not isinstance(line, Health) or line.message is not None
        if is_news:
            click.echo(line.to_text_line())
