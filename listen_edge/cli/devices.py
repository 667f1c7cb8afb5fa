"""The command devices: what there is to listen to."""

from __future__ import annotations

import json

import click

from listen_edge.errors import ListenEdgeError


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def devices(as_json: bool) -> None:
    """List the audio input devices, with the rates that each accepts."""
    from listen_edge.runtime.sources.microphone import input_devices

    found = input_devices()
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    if not found:
        raise ListenEdgeError("there is no audio input device; plug one in, or see `doctor`")
    for device in found:
        mark = "*" if device["is_default"] else " "
        rates = ", ".join(f"{rate / 1000:g}" for rate in device["rates"]) or "none"
        click.echo(
            f"{mark} {device['index']:>3}  {device['name']:<40} {device['host']:<8} "
            f"{device['n_channels']:>3} channels  {device['rate'] / 1000:g} kHz  (takes {rates})"
        )
