"""The command that tags recordings with a user's own model, for training."""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--tagger", "model", required=True, type=_FILE, help=".tflite or .onnx file.")
@click.option("--classes", required=True, type=_FILE, help="CSV with the column display_name.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Table to write.  [default: FOLDER/tags.tsv.gz]",
)
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True)
def tag(folder: Path, model: Path, classes: Path, out: Path | None, threads: int) -> None:
    """Write what a tagger hears in the recordings below FOLDER: probabilities of its classes.

    The model takes mono samples at 16 kHz, (n,) or (1, n), and gives a probability of each class.
    Training reads the table where it lies beside a data set's own, or with --tags.
    """
    from listen_edge.train.tagging import Tagger, tag_folder

    counts = dict(
        tag_folder(folder, Tagger(model, classes, threads), out or folder / "tags.tsv.gz")
    )
    unread = [path.name for path, n in counts.items() if n is None]
    named = f", {len(unread)} cannot be read: {', '.join(unread[:5])}" if unread else ""
    click.echo(f"{folder}: {len(counts) - len(unread)} recordings tagged{named}", err=True)
