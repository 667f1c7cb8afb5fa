"""The command mic: a microphone, a URL or raw PCM, until stopped."""

from __future__ import annotations

from typing import Any

import click

from listen_edge.cli.listen_options import listen_options
from listen_edge.cli.listening import listen_in_turn
from listen_edge.cli.live_source import live_options, live_source


@click.command()
@live_options
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
    source = live_source(device, url, is_stdin, rate, channels, pcm)
    return listen_in_turn([source], waits_for_device=wait_for_device, **options)
