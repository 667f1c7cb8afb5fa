"""What of a configuration cannot be with the bundle that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from listen_edge.bundle.manifest import Manifest
from listen_edge.bundle.opening import read_manifest
from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.config.asked import trigger_of
from listen_edge.runtime.service.config.models import WatchConfig
from listen_edge.runtime.service.config.problems import ConfigError, Problem
from listen_edge.runtime.service.config.reading import Reading, read_config


def read_with_bundle(
    path: Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Reading, Manifest]:
    """Read a configuration, see read_config, and hold it against its bundle's manifest.

    Raises:
        ConfigError: there is none, it cannot be, or not with this bundle.
    """
    reading = read_config(path, environ)
    try:
        manifest = read_manifest(reading.config.bundle)
    except ListenEdgeError as err:
        raise ConfigError(reading.path, reading.lines([(("bundle",), str(err))])) from err
    if problems := reading.lines(_problems(reading.config, manifest)):
        raise ConfigError(reading.path, problems)
    return reading, manifest


def _problems(config: WatchConfig, manifest: Manifest) -> Iterator[Problem]:
    hop_s = manifest.hop_s if config.hop is None else config.hop
    if hop_s > manifest.window_s:
        text = f"{hop_s:g} is longer than the bundle's window, {manifest.window_s:g} s"
        yield ("hop",), text
    for k, source in enumerate(config.sources):
        try:
            trigger_of(config, source, manifest.events).check_hop(min(hop_s, manifest.window_s))
        except ListenEdgeError as err:
            own = source.defaults.model_fields_set
            place = ("sources", k, "defaults") if own else ("defaults",)
            yield place, re.sub(r"--([a-z-]+)", lambda key: key[1].replace("-", "_"), str(err))
