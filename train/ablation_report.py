"""The ablation's table and plot: mean and spread over the seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from listen_edge.errors import ListenEdgeError
from listen_edge.train.ablation import Figure


def table_lines(figures: Sequence[Figure]) -> Iterator[str]:
    """Yield a line per arm: accuracy and AUROC of every set, mean and standard deviation."""
    sets = list(dict.fromkeys(figure.questions for figure in figures))
    yield f"{'accuracy at margin 0, % / AUROC':32}" + "".join(f"{name:>30}" for name in sets)
    for arm in dict.fromkeys(figure.arm for figure in figures):
        cells = [figure for figure in figures if figure.arm == arm]
        yield f"{arm:32}" + "".join(f"{_cell(cell):>30}" for cell in cells)


def _cell(figure: Figure) -> str:
    accuracy, auroc = 100 * np.array(figure.accuracy), np.array(figure.auroc)
    return f"{accuracy.mean():.1f} ± {accuracy.std():.1f} / {auroc.mean():.3f} ± {auroc.std():.3f}"


def draw_figures(figures: Sequence[Figure], target: Path) -> None:
    """Write a PNG: accuracy of every arm on every set, with the seeds' spread.

    Raises:
        ListenEdgeError: the image cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sets = list(dict.fromkeys(figure.questions for figure in figures))
    arms = list(dict.fromkeys(figure.arm for figure in figures))
    figure, axis = pyplot.subplots(figsize=(9, 4), layout="constrained")
    width = 0.8 / len(arms)
    for k, arm in enumerate(arms):
        values = [100 * np.array(cell.accuracy) for cell in figures if cell.arm == arm]
        axis.bar(
            np.arange(len(sets)) + k * width,
            [value.mean() for value in values],
            width,
            yerr=[value.std() for value in values],
            capsize=3,
            label=arm,
        )
    axis.axhline(50, color="grey", linestyle="--", linewidth=1)
    axis.set_xticks(np.arange(len(sets)) + 0.4 - width / 2, sets)
    axis.set(ylabel="accuracy at margin 0, %", ylim=(40, 100))
    axis.legend(loc="upper left", ncols=len(arms), fontsize="small")
    try:
        figure.savefig(target, dpi=120)
    except (OSError, ValueError) as err:
        raise ListenEdgeError(f"{target}: cannot be written ({err})") from err
    finally:
        pyplot.close(figure)
