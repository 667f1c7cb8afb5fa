"""The command mine: hours without some sounds -> what a bundle wrongly hears in them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.options import READABLE, head_options, load_head_engine
from listen_edge.printable import printable
from listen_edge.runtime.measure.mining_config import MiningConfig
from listen_edge.safety_sounds import SAFETY_SOUNDS

if TYPE_CHECKING:
    from listen_edge.runtime.measure.mined_folder import Finds


@click.command()
@click.argument("hours", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write; holds a run of the same options that was stopped: go on.",
)
@click.option(
    "--ask",
    "questions",
    multiple=True,
    help=f"A sound that HOURS do not hold; repeatable.  [default: {len(SAFETY_SOUNDS)} of safety "
    "and home]",
)
@click.option("--tags", multiple=True, type=READABLE, help="Table of listen-edge tag; repeatable.")
@click.option("--ontology", type=READABLE, help="AudioSet's ontology.json: related sounds.")
@click.option(
    "--least", default=MiningConfig.least, help="Presence from which a window is wrongly sure."
)
@click.option(
    "--per-question",
    default=MiningConfig.per_question,
    help="Windows of a question and recording, at most.",
)
@click.option("--hop", default=MiningConfig.hop_s, help="Seconds between windows.")
@head_options
def mine(
    hours: Path,
    out: Path,
    questions: tuple[str, ...],
    tags: tuple[Path, ...],
    ontology: Path | None,
    least: float,
    per_question: int,
    hop: float,
    **engine_options: Any,
) -> int:
    """Keep what the bundle wrongly hears in HOURS, recordings without the sounds asked about.

    OUT is a labelled folder for train-head. A recording whose label, tag or folder names a sound
    that could be confused with a question's is not asked about it. Killed at any moment and started
    again, it goes on where it was. --ontology tells more of what could be confused.
    """
    from listen_edge.runtime.measure.mining import Hours
    from listen_edge.runtime.measure.mining import mine as run
    from listen_edge.runtime.verify import self_test
    from listen_edge.train.datasets.hours import read_known_hours

    config = MiningConfig(least, per_question, hop)
    known = read_known_hours(hours, tags, ontology)
    totals = MiningTotals()
    with load_head_engine(**engine_options) as engine:
        self_test(engine)
        found = run(
            engine,
            Hours(hours, known.may_hold, known.licence),
            out,
            questions or SAFETY_SOUNDS,
            config,
        )
        for finds in found:
            totals.add(finds)
            said = finds.error or f"{finds.n_windows} windows, {len(finds.by_window())} kept"
            click.echo(f"{finds.recording}: {said}", err=True)
    totals.tell(out)
    return int(totals.n_failed > 0)


class MiningTotals:
    """What was found of each question in all recordings."""

    def __init__(self) -> None:
        self.n_kept = self.n_failed = 0
        self._heard_s = 0.0
        self._n_wrong: Counter[str] = Counter()
        self._n_kept: Counter[str] = Counter()
        self._surest: dict[str, tuple[float, str, float]] = {}  # presence, recording, start

    def add(self, finds: Finds) -> None:
        self._heard_s += finds.heard_s
        self.n_kept += len(finds.by_window())
        self.n_failed += finds.error is not None
        self._n_wrong.update(finds.n_wrong)
        for concept, kept in finds.kept.items():
            self._n_kept[concept] += len(kept)
            for start_s, presence in kept:
                one = presence, finds.recording, start_s
                self._surest[concept] = max(self._surest.get(concept, one), one)

    def tell(self, out: Path) -> None:
        """Print a line for each question, the worst first, and one of all."""
        for concept, n_wrong in self._n_wrong.most_common():
            presence, recording, start_s = self._surest[concept]
            click.echo(
                f"{concept:<24} {n_wrong:6d} windows, {self._n_kept[concept]:5d} kept, surest "
                f"{presence:.2f} at {start_s:.1f} s of {recording}"
            )
        click.echo(
            f"{printable(out)}: {self.n_kept} windows of {self._heard_s / 3600:.2f} h, "
            f"{len(self._n_wrong)} questions wrongly heard"
        )
