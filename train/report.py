"""Curves of training runs: loss and held-out AUROC by step, from their logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from listen_edge.errors import ListenEdgeError
from listen_edge.train.run_log import read_log

_SMOOTHED = 25  # steps of the running mean


def draw_report(runs: Sequence[Path], target: Path) -> Iterator[str]:
    """Write a PNG with the curves of all runs and yield a line on where each of them stands.

    Raises:
        ListenEdgeError: a folder without a log, or an image that cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    logs = {run.name: read_log(run) for run in runs}
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for axis, (title, phase, key) in zip(
        axes,
        (
            ("warm start: loss", "warm", "loss"),
            ("through the LLM: loss", "main", "loss"),
            ("held-out AUROC", "main", "held_out_auroc"),
        ),
        strict=True,
    ):
        for name, log in logs.items():
            steps, values = _curve(log, phase, key)
            axis.plot(steps, values, label=name, marker="o" if key == "held_out_auroc" else None)
        axis.set(title=title, xlabel="step")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize="small")
    try:
        figure.savefig(target, dpi=120)
    except (OSError, ValueError) as err:
        raise ListenEdgeError(f"{target}: cannot be written ({err})") from err
    finally:
        pyplot.close(figure)
    for name, log in logs.items():
        yield _last_line(name, log)


def _curve(log: list[dict[str, Any]], phase: str, key: str) -> tuple[list[int], list[float]]:
    points = [(line["step"], line[key]) for line in log if line["phase"] == phase and key in line]
    steps = [step for step, _ in points]
    values = np.array([value for _, value in points])
    if key == "loss" and len(values) > _SMOOTHED:
        sums = np.cumsum(np.insert(values, 0, 0.0))
        first = np.maximum(np.arange(1, len(sums)) - _SMOOTHED, 0)
        values = (sums[1:] - sums[first]) / (np.arange(1, len(sums)) - first)
    return steps, values.tolist()


def _last_line(name: str, log: list[dict[str, Any]]) -> str:
    parts = [name]
    for phase, key in (("warm", "loss"), ("main", "loss"), ("main", "held_out_auroc")):
        steps, values = _curve(log, phase, key)
        if steps:
            parts.append(f"{phase} step {steps[-1]} {key} {values[-1]:.4g}")
    rates = [line["tokens_per_s"] for line in log if line.get("tokens_per_s")]
    if rates:
        parts.append(f"median {np.median(rates):.0f} LLM tokens/s")
    return ", ".join(parts)
