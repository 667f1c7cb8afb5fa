"""Options that cannot be are refused at the command line, and no error speaks of an unset one."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from listen_edge.audio.limits import MAX_RATE, MIN_RATE
from listen_edge.cli.options import rate_range
from listen_edge.cli.root import cli
from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.thresholds import Thresholds, chosen_thresholds


def test_the_rates_are_those_that_can_be_heard() -> None:
    assert (rate_range.min, rate_range.max) == (MIN_RATE, MAX_RATE)


@pytest.mark.parametrize("command", [["mic", "--stdin"], ["replay", "-"]], ids=" ".join)
@pytest.mark.parametrize(
    "options",
    [["--rate", r] for r in ("0", "1", "3999", "-16000", "768001", "999999999", "16k")]
    + [["--channels", n] for n in ("0", "65", "-1")],
    ids=" ".join,
)
def test_impossible_pcm_is_refused_at_the_command_line(
    command: list[str], options: list[str]
) -> None:
    result = CliRunner().invoke(cli, [*command, *options, "--ask", "siren?"], input=b"\0" * 64_000)
    assert result.exit_code == 2 and options[0] in result.stderr and not result.stdout


@pytest.mark.parametrize(
    ("on", "off", "expected"),
    [
        (None, None, (0.7, 0.55)),
        (0.9, None, (0.9, 0.55)),
        (0.3, None, (0.3, 0.3)),
        (None, 0.2, (0.7, 0.2)),
        (None, 0.8, (0.8, 0.8)),
        (0.6, 0.4, (0.6, 0.4)),
    ],
)
def test_a_threshold_that_is_not_set_moves_out_of_the_way(
    on: float | None, off: float | None, expected: tuple[float, float]
) -> None:
    assert chosen_thresholds(on, off, Thresholds(0.7, 0.55)) == Thresholds(*expected)


@pytest.mark.parametrize(("on", "off"), [(0.4, 0.6), (1.0, None), (0.0, None), (None, -1.0)])
def test_impossible_thresholds_are_refused(on: float | None, off: float | None) -> None:
    with pytest.raises(ListenEdgeError, match="expected 0 < off <= on < 1"):
        chosen_thresholds(on, off, Thresholds(0.7, 0.55))


@pytest.mark.parametrize("command", ["ask", "replay"])
def test_on_alone_is_no_error(command: str, tiny_folder: Path) -> None:
    recording = str(tiny_folder / "clips/siren.ogg")
    result = CliRunner().invoke(cli, [command, recording, "--ask", "siren?", "--on", "0.3"])
    assert (result.exit_code, result.stderr) == (0, "")
