"""The command test-fire: the path from an event to a phone, tried without a fire."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from listen_edge.cli.config import read_or_tell
from listen_edge.cli.options import PATH
from listen_edge.errors import ListenEdgeError

if TYPE_CHECKING:
    from listen_edge.runtime.service.config.asked import Asked
    from listen_edge.runtime.service.config.models import WatchConfig
    from listen_edge.runtime.service.outputs import Output
    from listen_edge.runtime.service.records.types import Delivery


@click.command("test-fire")
@click.option("--config", type=PATH, help="Of the service.  [default: as for config check]")
@click.option("--output", metavar="NAME", help="The only one to try, such as webhook:phone.")
@click.option("--question", metavar="ID", help="Heard, it says.  [default: the first]")
@click.option("--source", metavar="ID", help="Where it was heard.  [default: the first]")
def test_fire(
    config: Path | None, output: str | None, question: str | None, source: str | None
) -> int:
    """Send a test event through every output of the service; exit with 1 if one failed.

    It needs no microphone, and no service that runs. The event is marked as a test, begins and
    ends at once, and is not stored.
    """
    from listen_edge.runtime.service.outputs.making import make_outputs
    from listen_edge.runtime.service.outputs.trial import trial_deliveries

    reading, manifest = read_or_tell(config)
    outputs = make_outputs(
        reading.config.outputs,
        bundle=manifest.id,
        mute=lambda source, wants_muted: None,
        is_trial=True,
    )
    names = [one.name for one in outputs]
    if output is not None:
        outputs = [outputs[_place("--output", output, names)]]
    elif not outputs:
        raise ListenEdgeError(f"{reading.path}: outputs: there are none; nobody would be told")
    asked = _asked(reading.config, question, source)
    deliveries = trial_deliveries(
        source=asked.source,
        question=asked.id,
        ask=asked.ask,
        concept=asked.concept,
        bundle=manifest.id,
    )
    outcomes = [_fire(one, deliveries) for one in outputs]
    return 0 if all(outcomes) else 1


def _asked(config: WatchConfig, question: str | None, source: str | None) -> Asked:
    """Return the first question that is asked, of those with these ids."""
    from listen_edge.runtime.service.config.asked import asked_of

    asked = [*asked_of(config)]
    for option, wanted, key in (("--source", source, "source"), ("--question", question, "id")):
        if wanted is not None:
            ids = [getattr(one, key) for one in asked]
            _place(option, wanted, ids)
            asked = [one for one in asked if getattr(one, key) == wanted]
    if not asked:
        raise ListenEdgeError("no question is asked; add one to the configuration")
    return asked[0]


def _place(option: str, wanted: str, there: Sequence[str]) -> int:
    if wanted not in there:
        known = ", ".join(dict.fromkeys(there)) or "none"
        raise ListenEdgeError(f"{option} {wanted!r}: there is no such; expected one of {known}")
    return there.index(wanted)


def _fire(output: Output, deliveries: Sequence[Delivery]) -> bool:
    """Deliver, print the outcome, and return whether it was taken."""
    began = time.monotonic()
    try:
        output.start()
        for delivery in deliveries:
            output.deliver(delivery)
    except ListenEdgeError as err:
        click.echo(f"{output.name}: failed: {' '.join(str(err).split())}")
        return False
    finally:
        output.stop()
    click.echo(f"{output.name}: taken after {time.monotonic() - began:.2f} s")
    return True
