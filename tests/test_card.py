"""The robustness card: its figures of listeners whose figures are known, and what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from listen_edge.cli.root import cli
from listen_edge.evaluation.card.comparing import TOLERANCES
from listen_edge.evaluation.card.figures import (
    KINDS,
    Card,
    counted,
    read_card,
)
from listen_edge.evaluation.card.impaired import N_CONDITIONS
from listen_edge.evaluation.card.inputs import CardInputs, CardOptions, read_inputs
from listen_edge.evaluation.card.markdown import card_markdown
from listen_edge.evaluation.card.measure import measure_card, n_heard, parity_figures
from listen_edge.evaluation.card.plain import of_another_clip
from listen_edge.evaluation.card.together import draw_mixtures
from listen_edge.evaluation.questions import BenchmarkError, Question, Reply
from tests.tones import LABELS, ToneEngine, tone_folders

JUDGED_ELSEWHERE = {"unknown_rate", "hours", "presence_spread"}  # shown, but neither good nor bad


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tone_folders(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="module")
def inputs(folders: tuple[Path, Path]) -> CardInputs:
    esc50, others = folders
    return read_inputs(esc50, [5], CardOptions(labelled=(others,)))


@pytest.fixture(scope="module")
def card(inputs: CardInputs) -> Card:
    engine: Any = ToneEngine()
    return measure_card(engine, inputs)


def _values(card: Card, section: str) -> dict[tuple[str, str], float | None]:
    return {(f.row, f.kind): f.value for f in card.figures if f.section.startswith(section)}


def test_a_perfect_listener_hears_all_and_claims_nothing_of_what_it_is_not_given(
    card: Card,
) -> None:
    forced = _values(card, "One name")
    assert forced["the recording", "accuracy"] == 1.0
    assert forced["the recording", "yes_rate"] == 0.5
    for row in ("another recording in its place", "silence in its place"):
        assert (forced[row, "accuracy"], forced[row, "yes_rate"]) == (0.5, 0.0)
    assert forced["silence in its place", "unknown_rate"] == 1.0
    assert forced["a quiet room in its place (-55 dBFS)", "yes_rate"] == 0.0
    together = _values(card, "Sounds at once")
    assert {row for row, _ in together} == {"1 sound", "2 sounds", "3 sounds", "4 sounds"}
    for (_, kind), value in together.items():
        assert value == {"tpr": 1.0, "fpr": 0.0}[kind]
    impaired = _values(card, "Impaired")
    assert impaired["as recorded", "auroc"] == 1.0
    assert impaired["10 dB over noise", "auroc_lost"] == 0.0
    assert len(impaired) == 2 + 3 * N_CONDITIONS
    assert _values(card, "Calibration")["ESC-50", "ece"] == pytest.approx(0.1)
    assert _values(card, "Parity") == {
        ("encoder onnx x86-avx2, LLM gguf", "auroc_lost"): 0.01,
        ("encoder onnx x86-avx2, LLM gguf", "flips"): 0.01,
        ("head onnx x86-avx2", "auroc_lost"): 0.005,
        ("head onnx x86-avx2", "flips"): 0.02,
    }  # fmt: skip


def test_a_listener_that_ignores_the_sound_is_found_out(inputs: CardInputs) -> None:
    engine: Any = ToneEngine(deaf=True)
    deaf = _values(measure_card(engine, inputs), "One name")
    rows = ("the recording", "silence in its place")
    for kind in ("accuracy", "yes_rate", "unknown_rate"):
        assert deaf[rows[0], kind] == deaf[rows[1], kind]
    assert deaf["another recording in its place", "yes_rate"] == deaf[rows[0], "yes_rate"] > 0.2
    impaired = _values(measure_card(engine, inputs), "Impaired")
    assert impaired["gsm", "auroc_lost"] == 0.0 and impaired["gsm", "auroc"] < 0.75


def test_an_answer_without_a_presence_is_no_yes_and_no_rank(tmp_path: Path) -> None:
    given = {True: [0.9, 0.8, None], False: [0.1, None, None]}
    pairs = [(is_present, p) for is_present, many in given.items() for p in many]
    questions = [Question(tmp_path, "dog?", "dog", is_present) for is_present, _ in pairs]
    replies = [Reply(p, None, state="unknown" if p is None else "present") for _, p in pairs]
    kinds = ("accuracy", "yes_rate", "unanswered", "unknown_rate", "auroc", "ece", "tpr")
    found = {f.kind: f.value for f in counted("Section", "row", kinds, questions, replies)}
    assert found == {
        "accuracy": round(5 / 6, 4), "yes_rate": round(2 / 6, 4), "unanswered": 0.5,
        "unknown_rate": 0.5, "auroc": 1.0, "ece": round(0.4 / 3, 4), "tpr": round(2 / 3, 4),
    }  # fmt: skip
    silent = [Reply(None, None)] * 6
    assert [f.value for f in counted("", "", ("auroc", "accuracy"), questions, silent)] == [
        None,
        0.5,
    ]
    assert counted("Section", "row", kinds, [], []) == []


def test_every_figure_states_what_it_was_counted_over(card: Card) -> None:
    for figure in card.figures:
        assert figure.kind in KINDS
        if figure.section not in ("Parity to float", "Streams"):
            assert figure.n_clips and figure.n_questions, figure
    assert card.recordings == ("ESC-50 fold 5: 16 of 16", "A farm: 12 of 12", "A few: 2 of 2")
    assert {figure.kind for figure in card.figures} <= TOLERANCES.keys() | JUDGED_ELSEWHERE


def test_no_recording_is_encoded_twice_as_it_is(inputs: CardInputs) -> None:
    engine: Any = ToneEngine()
    told: list[None] = []
    measure_card(engine, inputs, on_clip=lambda: told.append(None))
    assert len(told) <= n_heard(inputs)
    of_others = {engine.n_heard[f"{k}.wav"] for k in range(14)}
    of_esc50 = {engine.n_heard[path.name] for path in {q.audio for q in inputs.domain}}
    assert (of_others, of_esc50) == ({1}, {1 + 1 + N_CONDITIONS})  # a quiet room takes its name


def test_another_recording_holds_none_of_the_names(inputs: CardInputs) -> None:
    questions = of_another_clip(inputs)
    assert len(questions) == 2 * 16
    for question in questions:
        assert inputs.clips[question.audio].label != question.concept
    assert Counter(question.is_present for question in questions) == {True: 16, False: 16}


def test_mixtures_hold_different_sounds_and_are_repeatable(inputs: CardInputs) -> None:
    clips = [clip for clip in inputs.clips.values() if "ESC-50" in clip.source]
    mixtures = draw_mixtures(clips, 3, 5, seed=1)
    assert mixtures == draw_mixtures(clips, 3, 5, seed=1) != draw_mixtures(clips, 3, 5, seed=2)
    for mixture in mixtures:
        labels = [clip.label for clip in mixture.clips]
        assert len({*labels, *mixture.absent}) == len(labels) + len(mixture.absent) == 7
        assert np.abs(mixture.samples()).max() == pytest.approx(0.9)
    assert draw_mixtures(clips, len(LABELS), 5, seed=1) == []  # no name is left to be absent


def test_the_worst_source_has_enough_recordings(card: Card) -> None:
    def with_aurocs(farm: float, few: float) -> Card:
        values = {"A farm": farm, "A few": few}
        return replace(
            card,
            figures=tuple(
                replace(f, value=values[f.row]) if f.kind == "auroc" and f.row in values else f
                for f in card.figures
            ),
        )

    worse = with_aurocs(0.8, 0.5)
    worst = worse.worst_source()
    assert worst is not None and (worst.row, worst.value) == ("A farm", 0.8)
    assert worse.to_json()["worst_source"] == "A farm"
    assert "Worst source: A farm, AUROC 0.800." in card_markdown(worse)
    assert "| **A farm** | 0.800 |" in card_markdown(worse)


def test_backgrounds_are_never_what_is_asked(folders: tuple[Path, Path]) -> None:
    esc50, others = folders
    heard = read_inputs(esc50, [5], CardOptions(background=others))
    engine: Any = ToneEngine()
    impaired = _values(measure_card(engine, heard), "Impaired")
    assert impaired["20 dB over noise and recordings", "auroc"] == 1.0  # it tells them apart
    assert heard.questions_sha256() != read_inputs(esc50, [5], CardOptions()).questions_sha256()


def test_a_stream_is_taken_over(folders: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "stream.json"
    measured = {"false_alarms_per_day": 0, "upper_bound_per_day": 24.0, "hours": 3, "more": []}
    path.write_text(json.dumps(measured))
    figures = read_inputs(folders[0], [5], CardOptions(stream=path)).stream
    assert [figure.value for figure in figures] == [0.0, 24.0, 3.0]
    for content in ("", "[]", '{"hours": 3}', '{"hours": null}'):
        path.write_text(content)
        with pytest.raises(BenchmarkError, match=r"stream\.json: .*expected a JSON object with"):
            read_inputs(folders[0], [5], CardOptions(stream=path))


@pytest.mark.parametrize("rungs", ["a", {"name": 1}, [{}, {}], [{"auroc": "x"}], 7])
def test_a_malformed_parity_is_one_line(rungs: object) -> None:
    with pytest.raises(BenchmarkError, match="export the bundle again"):
        parity_figures(rungs)
    assert parity_figures(None) == []


def test_the_command_writes_a_card(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    monkeypatch.setattr("listen_edge.cli.eval_card.load_engine", lambda **_: nullcontext(engine))
    engine = ToneEngine()
    esc50, others = map(str, folders)
    arguments = ["eval", "card", "--esc50", esc50, "--labelled", others, "--source", "farm"]
    out = tmp_path / "card.json"
    done = CliRunner().invoke(cli, [*arguments, "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    card = read_card(out)
    assert card_markdown(card) in done.output
    assert card.recordings == ("ESC-50 fold 5: 16 of 16", "A farm: 12 of 12")
    refused = CliRunner().invoke(cli, [*arguments[:-1], "ship"])
    assert refused.exit_code == 1 and "no recording of source 'ship'" in str(refused.exception)
