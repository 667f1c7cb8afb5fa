"""The command replay: recordings, heard as a microphone would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.listen_options import listen_options
from listen_edge.cli.listening import listen_in_turn

if TYPE_CHECKING:
    from listen_edge.runtime.sources import Source


@click.command()
@click.argument("recordings", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--realtime", is_flag=True, help="At the pace of a microphone, not as fast as can be."
)
@listen_options
def replay(
    recordings: tuple[Path, ...], realtime: bool, rate: int, channels: int, pcm: str, **options: Any
) -> int:
    """Listen to recordings as if they were played to a microphone: the same code, every window.

    A folder is played as one stream, - is raw PCM on stdin, and what libsndfile does not read goes
    through ffmpeg.
    """

    def opener(path: Path) -> Callable[[], Source]:
        def open_it() -> Source:
            from listen_edge.runtime.sources.choose import recording
            from listen_edge.runtime.sources.stdin import StdinSource

            if str(path) == "-":
                return StdinSource(rate, channels, pcm, is_live=False)
            return recording(path, is_realtime=realtime)

        return open_it

    return listen_in_turn([opener(path) for path in recordings], waits_for_device=False, **options)
