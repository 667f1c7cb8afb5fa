"""The command mic: a microphone, a URL or raw PCM, until stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.listen_options import listen_options
from listen_edge.cli.listening import listen_in_turn
from listen_edge.cli.options import url_option

if TYPE_CHECKING:
    from listen_edge.runtime.sources import Source


@click.command()
@click.option("--device", help="Audio device: index or part of its name.  [default: the system's]")
@url_option
@click.option("--stdin", "is_stdin", is_flag=True, help="Listen to raw PCM on standard input.")
@click.option("--wait-for-device", is_flag=True, help="A device that is not there yet is no error.")
@listen_options
def mic(
    device: str | None,
    url: str | None,
    is_stdin: bool,
    wait_for_device: bool,
    rate: int,
    channels: int,
    pcm: str,
    **options: Any,
) -> int:
    """Listen to a microphone and tell what is heard, until stopped."""
    if (device is not None) + (url is not None) + is_stdin > 1:
        raise click.UsageError("--device, --url and --stdin exclude each other")

    def source() -> Source:
        if url is not None:
            from listen_edge.runtime.sources.ffmpeg import FfmpegSource

            return FfmpegSource(url)
        if is_stdin:
            from listen_edge.runtime.sources.stdin import StdinSource

            return StdinSource(rate, channels, pcm, is_live=True)
        from listen_edge.runtime.sources.microphone import MicrophoneSource

        return MicrophoneSource(device)

    return listen_in_turn([source], waits_for_device=wait_for_device, **options)
