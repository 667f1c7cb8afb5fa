"""The outputs that a config asks for."""

from __future__ import annotations

from collections.abc import Callable

from listen_edge.runtime.service.config.telling import OutputsConfig
from listen_edge.runtime.service.outputs import Output
from listen_edge.runtime.service.outputs.command import Command
from listen_edge.runtime.service.outputs.desktop import Desktop
from listen_edge.runtime.service.outputs.lines import Lines
from listen_edge.runtime.service.outputs.webhook import Webhook


def make_outputs(
    config: OutputsConfig,
    *,
    bundle: str,
    mute: Callable[[str, bool], None],
    is_trial: bool = False,
) -> list[Output]:
    """Return them, not yet started. Packages of those that are not asked for are not imported.

    Args:
        bundle: name and hash of the bundle, for people.
        mute: mutes a source (True) or unmutes it, by its id, where an output is asked to.
        is_trial: for a test event from a process beside a service that may run.

    Raises:
        OutputError: one that cannot work, such as for want of its certificates.
    """
    made: list[Output] = []
    if config.lines is not None:
        made.append(Lines(config.lines))
    if config.mqtt is not None:
        from listen_edge.runtime.service.outputs.broker import MqttOutput

        made.append(MqttOutput(config.mqtt, bundle=bundle, mute=mute, is_trial=is_trial))
    made += [Webhook(one) for one in config.webhooks]
    made += [Command(one) for one in config.commands]
    if config.desktop:
        made.append(Desktop())
    return made
