"""What scan does with a folder of its own: clips to check, what verdicts say, windows to mine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from listen_edge.cli.options import together
from listen_edge.errors import ListenEdgeError
from listen_edge.printable import printable
from listen_edge.runtime.measure.mining_config import MiningConfig


class Reviewing(NamedTuple):
    """What is wanted of a scan that is done, as the options say."""

    sample: int | None
    seed: int
    mine: Path | None
    least: float
    per_question: int

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> Reviewing:
        """Return what the options of review_options say, and take them away."""
        return cls(*(options.pop(name) for name in cls._fields))

    @property
    def is_wanted(self) -> bool:
        return self.sample is not None or self.mine is not None

    def check(self, *, of_events: bool) -> None:
        """Raise ListenEdgeError for what could not be done when a scan of hours is."""
        from listen_edge.runtime.archive.review.sample import check_size

        if self.sample is not None:
            check_size(self.sample)
        if self.mine is not None:
            self.mining_config()
            if of_events:
                raise ListenEdgeError(
                    "--mine needs windows, and with --events there are none; scan without --events"
                )

    def mining_config(self) -> MiningConfig:
        """Return what --mine keeps; ListenEdgeError if that is impossible."""
        return MiningConfig(self.least, self.per_question)


# Of what is done with a scan; INPUT may be left out with --sample and --mine.
review_options = together(
    click.option(
        "--sample",
        type=int,
        help="Clips of each question to check by hand, into OUT/review; verdicts that are there "
        "already are told as precision and recall.",
    ),
    click.option("--seed", default=0, help="Of --sample."),
    click.option(
        "--mine",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder to write: windows with sounds that the recordings do not hold.",
    ),
    click.option(
        "--least",
        default=MiningConfig.least,
        help="Of --mine: presence from which a window is wrongly sure.",
    ),
    click.option(
        "--per-question",
        default=MiningConfig.per_question,
        help="Of --mine: windows of a question and recording, at most.",
    ),
)


def review(out: Path, wanted: Reviewing, questions: Sequence[str]) -> int:
    """Do what is wanted of the scan in a folder, and print it; return the exit code.

    Args:
        questions: of which nothing is there to hear, for --mine; (): all.
    """
    if wanted.sample is not None:
        _sample(out, wanted.sample, wanted.seed)
    if wanted.mine is None:
        return 0
    return _mine(out, wanted.mine, wanted.mining_config(), questions)


def _sample(out: Path, n: int, seed: int) -> None:
    from listen_edge.runtime.archive.review.estimates import estimate
    from listen_edge.runtime.archive.review.sample import draw_sample

    sample = draw_sample(out, n, seed)
    for note in sample.notes:
        click.echo(f"listen-edge: {note}", err=True)
    estimates = estimate(out)
    for one in estimates:
        click.echo(one.to_text_line())
    n_open = sum(one.n_open for one in estimates)
    what = f"{n_open} without a verdict; fill in yes, no or unsure and give the command again"
    click.echo(
        f"{printable(sample.table)}: {sample.n_rows} clips, {sample.n_new} of them new"
        + (f", {what}" if n_open else "")
    )


def _mine(out: Path, folder: Path, config: MiningConfig, questions: Sequence[str]) -> int:
    from listen_edge.cli.mine import MiningTotals
    from listen_edge.runtime.archive.review.mining import mine_scan

    totals = MiningTotals()
    for finds in mine_scan(out, folder, config, questions):
        totals.add(finds)
        if finds.error is not None:
            click.echo(f"listen-edge: {finds.error}", err=True)
    totals.tell(folder)
    return int(totals.n_failed > 0)
