"""The file of tuned thresholds, and the commands tune and bench stream."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner

from listen_edge.bundle.thresholds import TunedThresholds, read_thresholds
from listen_edge.cli.root import cli
from listen_edge.errors import ListenEdgeError

TUNED = TunedThresholds("tiny@sha256:00000000", 1.0, (2, 3), {"siren": (0.97, 0.9)}, {})


def test_the_file_that_tune_writes_is_the_file_that_mic_reads(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    TUNED.write(path)
    found = read_thresholds(path)
    assert found == TUNED
    found.check_use("tiny@sha256:00000000", 1.0, (2, 3))
    with pytest.raises(ListenEdgeError, match="tuned for bundle tiny@sha256:00000000"):
        found.check_use("other@sha256:11111111", 1.0, (2, 3))
    with pytest.raises(ListenEdgeError, match="--hop 1 --confirm 2/3"):
        found.check_use("tiny@sha256:00000000", 2.0, (2, 3))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"schema": 1e999}',
        '{"schema": 2}',
        '{"schema": 1, "bundle": "b", "hop_s": 1, "confirm": [2, 3], '
        '"questions": {"siren": {"on": 0.5, "off": 0.6}}}',
        '{"schema": 1, "bundle": "b", "hop_s": 1, "confirm": [2, 3], "questions": {"siren": 1}}',
    ],
)
def test_a_damaged_thresholds_file_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(content)
    with pytest.raises(ListenEdgeError, match=r"thresholds\.json: not a thresholds file"):
        read_thresholds(path)
    with pytest.raises(ListenEdgeError, match="no such file"):
        read_thresholds(tmp_path / "nothing.json")


def test_tune_writes_what_mic_reads(tmp_path: Path, tiny_folder: Path) -> None:
    """With the real bundle: a siren among dogs, glass and babies."""
    negatives, positives, out = tmp_path / "neg", tmp_path / "pos/siren", tmp_path / "out.json"
    negatives.mkdir()
    positives.mkdir(parents=True)
    for clip in (tiny_folder / "clips").glob("*.ogg"):
        target = positives if clip.stem == "siren" else negatives
        (target / clip.name).symlink_to(clip)
    arguments = ["tune", "--ask", "siren?", "--negatives", str(negatives), "--positives"]
    arguments += [str(positives.parent), "--mixtures", "1", "--snr", "10", "10", "--out", str(out)]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    tuned = read_thresholds(out)
    assert tuned.by_concept["siren"][0] >= 0.5
    written = json.loads(out.read_text())["questions"]["siren"]
    assert written["false_alarms"] == 0 and written["recall_mixed"] in (0.0, 1.0)


def test_bench_stream_gives_what_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measuring itself takes minutes; what it is asked for, and what is made of it, do not."""
    given: dict[str, object] = {}

    def stream(engine: object, questions: object, *, minutes: float, seed: int) -> dict[str, float]:
        given.update(minutes=minutes, seed=seed)
        return {"compute_per_audio_second_s": 0.25}

    monkeypatch.setattr("listen_edge.cli.bench.load_engine", lambda **_: nullcontext())
    monkeypatch.setattr("listen_edge.runtime.measure.stream.measure_stream", stream)
    arguments = ["bench", "stream", "--minutes", "1", "--soak-minutes", "0", "--format", "json"]
    result = CliRunner().invoke(cli, [*arguments, "--seed", "3"], catch_exceptions=False)
    assert given == {"minutes": 1.0, "seed": 3}
    assert json.loads(result.stdout) == {"compute_per_audio_second_s": 0.25}
