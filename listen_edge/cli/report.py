"""The command report: of a scan, or of training runs."""

from __future__ import annotations

from pathlib import Path

import click

from listen_edge.cli.options import PATH
from listen_edge.errors import ListenEdgeError
from listen_edge.printable import printable

SCAN = "scan.json"  # archive.job's, which would import pyarrow


@click.command()
@click.argument("folders", nargs=-1, required=True, type=PATH)
@click.option(
    "--out",
    type=PATH,
    help="File to write: HTML of a scan, PNG of runs.  [default: report.html in the scan's folder]",
)
@click.option(
    "--timezone", metavar="NAME", help="Of a scan's times, such as Europe/Berlin.  [default: UTC]"
)
@click.option(
    "--by",
    metavar="COLUMN",
    help="Of the manifest: counts by it.  [default: site, device or folder]",
)
def report(
    folders: tuple[Path, ...], out: Path | None, timezone: str | None, by: str | None
) -> None:
    """Draw what a scan heard, or how training runs went.

    Of a scan's folder: one HTML page with what was not heard, presence over time of day and date,
    counts by site, what was checked by hand, and the most and the least certain clips, which are
    read where they lie. The page needs nothing else. Of training runs: loss and held-out AUROC,
    and where they ended.
    """
    scans = [folder for folder in folders if (folder / SCAN).exists()]
    if not scans:
        _draw_runs(folders, out, timezone or by)
        return
    if len(folders) > 1:
        raise ListenEdgeError(
            f"report: {len(scans)} of {len(folders)} folders hold a scan; give the folder of one "
            "scan, or training runs alone"
        )
    from listen_edge.runtime.archive.review.report.write import write_report

    click.echo(printable(write_report(folders[0], out, timezone=timezone or "UTC", by=by)))


def _draw_runs(runs: tuple[Path, ...], out: Path | None, of_scans: str | None) -> None:
    if of_scans is not None:
        raise click.UsageError("--timezone and --by are of scans, and these folders hold none")
    if out is None:
        raise click.UsageError(
            f"{printable(runs[0])}: holds no scan (no {SCAN}); of training runs, --out is needed: "
            "the PNG file to write"
        )
    from listen_edge.train.report import draw_report

    for line in draw_report(runs, out):
        click.echo(line)
