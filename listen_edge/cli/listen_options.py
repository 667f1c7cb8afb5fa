"""The options of mic and replay, and what they describe. Defaults are the listener's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from listen_edge.cli.options import (
    confirm_option,
    engine_options,
    question_option,
    rate_range,
    together,
)
from listen_edge.runtime.listening.liveness import LivenessConfig
from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.thresholds import Thresholds, chosen_thresholds

if TYPE_CHECKING:
    from listen_edge.bundle.opening import Bundle
    from listen_edge.event_settings import EventSettings
    from listen_edge.runtime.listening.listen_config import ListenConfig

_TRIGGER, _LIVENESS = TriggerConfig(), LivenessConfig()

# When windows become events.
event_options = together(
    click.option(
        "--on",
        type=float,
        help="Presence that begins an event.  "
        f"[default: the bundle's, else {_TRIGGER.thresholds.on}]",
    ),
    click.option(
        "--off",
        type=float,
        help="Presence that keeps it going.  "
        f"[default: the bundle's, else {_TRIGGER.thresholds.off}]",
    ),
    click.option("--hop", type=float, help="Seconds between windows.  [default: the bundle's]"),
    confirm_option,
    click.option(
        "--end-after",
        default=_TRIGGER.end_after_s,
        type=float,
        help="Seconds below --off that end an event.",
    ),
    click.option(
        "--cooldown",
        default=_TRIGGER.cooldown_s,
        type=float,
        help="Seconds without a new event after one.",
    ),
    click.option(
        "--long-event",
        default=_TRIGGER.long_event_s,
        type=float,
        help="Seconds after which an event is stationary: a notice, no new alarms.",
    ),
    click.option(
        "--gate",
        type=click.FloatRange(-120, 0),
        help="dBFS below which a window is absent without asking.  [default: no gate]",
    ),
    click.option(
        "--thresholds",
        "thresholds_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File of `listen-edge tune`.",
    ),
)

# What raw PCM on stdin does not say itself.
pcm_options = together(
    click.option("--rate", type=rate_range, default=16_000, help="Hz, of raw PCM on stdin."),
    click.option("--channels", type=click.IntRange(1, 64), default=1, help="Of stdin."),
    click.option("--pcm", type=click.Choice(["s16le", "f32le"]), default="s16le", help="Of stdin."),
)

listen_options = together(
    engine_options,
    pcm_options,
    question_option,
    event_options,
    click.option(
        "--save-clips",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep the sound of events here, 5 s before and after.  [default: nothing is kept]",
    ),
    click.option(
        "--stall-timeout",
        default=_LIVENESS.silent_after_s,
        type=float,
        help="Seconds without audio that alarm.",
    ),
    click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text"),
)


def listen_config(
    settings: EventSettings | None = None,
    *,
    on: float | None,
    off: float | None,
    hop: float | None,
    confirm: tuple[int, int] | None,
    end_after: float,
    cooldown: float,
    long_event: float,
    gate: float | None,
    save_clips: Path | None,
    stall_timeout: float,
    waits_for_device: bool,
    thresholds_path: Path | None,
) -> ListenConfig:
    """Return what the options of listen_options describe; those not set are the bundle's.

    Args:
        settings: the bundle's, of events. Its thresholds of single questions hold where neither
            --on nor --off is set.

    Raises:
        ListenEdgeError: options that cannot go together.
    """
    from listen_edge.runtime.listening.listen_config import ListenConfig

    shipped = ListenConfig.of(settings)
    is_shipped = on is None and off is None
    trigger = TriggerConfig(
        chosen_thresholds(on, off, shipped.trigger.thresholds),
        confirm or shipped.trigger.confirm,
        end_after,
        cooldown,
        long_event,
    )
    if hop is not None:
        trigger.check_hop(hop)
    return ListenConfig(
        hop_s=hop,
        trigger=trigger,
        thresholds=shipped.thresholds if is_shipped else {},
        gate_dbfs=gate,
        liveness=LivenessConfig(silent_after_s=stall_timeout),
        waits_for_device=waits_for_device,
        clips_dir=save_clips,
    )


def with_tuned_thresholds(config: ListenConfig, path: Path | None, bundle: Bundle) -> ListenConfig:
    """Return the configuration with the thresholds of a file of tune's; None: as it is."""
    if path is None:
        return config
    from listen_edge.bundle.thresholds import read_thresholds

    tuned = read_thresholds(path)
    tuned.check_use(bundle.id, config.hop_s or bundle.manifest.hop_s, config.trigger.confirm)
    own = {concept: Thresholds(on, off) for concept, (on, off) in tuned.by_concept.items()}
    return replace(config, thresholds={**config.thresholds, **own})
