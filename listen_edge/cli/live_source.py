"""What mic and hear listen to live: a device, a URL or raw PCM on stdin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from listen_edge.cli.options import together
from listen_edge.errors import one_line

if TYPE_CHECKING:
    from listen_edge.runtime.sources import Source


def _read_url(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return a URL, read from a file for @FILE: a command line is shown to every user by ps."""
    if value is None or not value.startswith("@"):
        return value
    try:
        url = Path(value[1:]).read_text().strip()
    except (OSError, UnicodeDecodeError) as err:
        raise click.BadParameter(f"{value[1:]}: cannot be read ({one_line(err)})") from err
    if not url or len(url.splitlines()) > 1:
        raise click.BadParameter(f"{value[1:]}: expected one line, the URL")
    return url


live_options = together(
    click.option(
        "--device", help="Audio device: index or part of its name.  [default: the system's]"
    ),
    click.option(
        "--url",
        callback=_read_url,
        metavar="URL|@FILE",
        help="Listen to what ffmpeg plays from here, such as a camera's RTSP; @FILE holds the URL.",
    ),
    click.option("--stdin", "is_stdin", is_flag=True, help="Listen to raw PCM on standard input."),
    click.option(
        "--wait-for-device", is_flag=True, help="A device that is not there yet is no error."
    ),
)


def live_source(
    device: str | None, url: str | None, is_stdin: bool, rate: int, channels: int, pcm: str
) -> Callable[[], Source]:
    """Return what opens the source that the options of live_options and pcm_options describe."""
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

    return source
