"""The command that makes alarms: a folder that training and evaluation read as `labelled`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

LICENCE = "CC0-1.0"
COLUMNS = ("filename", "label", "kind", "other_names", "hypernyms", "licence", "author", "source")


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--n", type=click.IntRange(1, 10_000), default=4, help="Recordings of each kind.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of every draw.")
@click.option("--kind", "kinds", multiple=True, help="Make this kind only; repeatable.")
@click.option("--seconds", type=click.FloatRange(0.5, 60), default=5.0, help="Length of each.")
def alarms(out: Path, n: int, seed: int, kinds: tuple[str, ...], seconds: float) -> None:
    """Make alarms from their standards: OUT/audio/*.flac and OUT/meta.csv, at 16 kHz."""
    import csv

    from listen_edge.alarms import ALARMS
    from listen_edge.errors import AudioError

    if unknown := [kind for kind in kinds if kind not in ALARMS]:
        raise AudioError(f"no alarm of kind {unknown[0]!r}; expected one of {', '.join(ALARMS)}")
    if (out / "meta.csv").exists():
        raise AudioError(f"{out / 'meta.csv'}: exists; give a new folder")
    (out / "audio").mkdir(parents=True, exist_ok=True)
    rows = list(_write_alarms(out / "audio", kinds or tuple(ALARMS), n, seed, seconds))
    with (out / "meta.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerows([COLUMNS, *rows])
    click.echo(f"{out}: {len(rows)} alarms of {len(kinds or ALARMS)} kinds, {LICENCE}")


def _write_alarms(
    folder: Path, kinds: tuple[str, ...], n: int, seed: int, seconds: float
) -> Iterator[tuple[str, ...]]:
    """Write the recordings and yield their rows of the table."""
    import zlib

    import numpy as np
    import soundfile

    from listen_edge.alarms import ALARMS, make_alarm
    from listen_edge.log_mel import SAMPLE_RATE

    for kind in dict.fromkeys(kinds):
        alarm = ALARMS[kind]
        for k in range(n):
            # A recording depends on its kind and number alone, not on what else is made.
            rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), k])
            name = f"{kind}-{seed}-{k}.flac"
            soundfile.write(folder / name, make_alarm(kind, rng, seconds), SAMPLE_RATE)
            others, above = "; ".join(alarm.labels[1:]), "; ".join(alarm.hypernyms)
            yield (name, alarm.labels[0], kind, others, above, LICENCE, "listen-edge", "made")
