"""Metrics against scikit-learn and hand-computed numbers; the protocol draws what it says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support, roc_auc_score

from listen_edge.bundle.calibration import Calibration, fit_calibration
from listen_edge.errors import AudioError
from listen_edge.evaluation.esc50 import (
    WORDINGS,
    Esc50Clip,
    clips_of_folds,
    draw_absent,
    esc50_questions,
    evaluate_esc50,
    read_esc50,
    to_report,
)
from listen_edge.evaluation.metrics import (
    PresenceMetrics,
    auroc,
    expected_calibration_error,
    mean_metrics,
    presence_metrics,
    tpr_at_fpr,
)
from listen_edge.evaluation.report import Report, report_text
from tests.listening import FakeEngine


@pytest.fixture()
def answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    is_present = rng.random(400) > 0.4
    return is_present, np.round(0.3 * is_present + 0.7 * rng.random(400), 2)  # with ties


def test_metrics_equal_scikit_learns(answers: tuple[np.ndarray, np.ndarray]) -> None:
    is_present, presence = answers
    said_yes = presence >= 0.5
    metrics = presence_metrics(is_present, presence)
    assert metrics.auroc == pytest.approx(roc_auc_score(is_present, presence))
    precision, recall, f1, _ = precision_recall_fscore_support(is_present, said_yes)
    theirs = [precision[1], recall[1], f1[1], precision[0], recall[0], f1[0]]
    ours = [metrics.precision_yes, metrics.recall_yes, metrics.f1_yes]
    ours += [metrics.precision_no, metrics.recall_no, metrics.f1_no]
    assert ours == pytest.approx(theirs)
    assert metrics.f1_weighted == pytest.approx(f1_score(is_present, said_yes, average="weighted"))
    assert metrics.accuracy == pytest.approx((is_present == said_yes).mean())
    assert metrics.balanced_accuracy == pytest.approx((recall[0] + recall[1]) / 2)


def test_answers_of_one_kind_have_no_auroc() -> None:
    assert np.isnan(auroc(np.array([True, True]), np.array([0.1, 0.9])))


def test_always_yes_has_half_accuracy_and_no_f1_of_no() -> None:
    is_present = np.array([True, False] * 10)
    metrics = presence_metrics(is_present, np.ones(20))
    assert (metrics.accuracy, metrics.yes_rate, metrics.f1_no) == (0.5, 1.0, 0.0)


def test_expected_calibration_error_by_hand() -> None:
    # Bin 0.9-1.0: presence 0.95, half of it right: gap 0.45. Bin 0.0-0.1: all right: gap 0.05.
    is_present = np.array([True, False, False, False])
    presence = np.array([0.95, 0.95, 0.05, 0.05])
    assert expected_calibration_error(is_present, presence) == pytest.approx(0.25)


def test_tpr_at_one_percent_fpr_by_hand() -> None:
    scores = np.concatenate([np.linspace(0, 1, 100, endpoint=False), [0.985, 0.5, 0.995, 2.0]])
    is_present = np.arange(104) >= 100
    assert tpr_at_fpr(is_present, scores, 0.01) == 0.75  # one of 100 absent may pass: 0.99


def test_calibration_recovers_the_map_that_made_the_answers() -> None:
    rng = np.random.default_rng(0)
    margins, priors = rng.normal(0, 3, 20_000), rng.normal(-1, 1, 20_000)
    chance = 1 / (1 + np.exp(-(0.8 * (margins - 0.5 * priors) + 0.3)))
    is_present = rng.random(20_000) < chance
    fitted = fit_calibration(is_present, margins, priors, concepts=("dog",), fitted_on="this")
    weight = np.log(is_present.mean() / (1 - is_present.mean()))  # both kinds weigh the same
    assert fitted.scale == pytest.approx(0.8, abs=0.05)
    assert fitted.prior_weight == pytest.approx(0.5, abs=0.1)
    assert fitted.bias == pytest.approx(0.3 - weight, abs=0.1)
    assert fitted.covers("dog") and not fitted.covers("cat")


def test_presence_grows_with_the_margin_and_never_overflows() -> None:
    calibration = Calibration()
    presences = [calibration.presence(margin, 0.0) for margin in (-1e9, -1, 0, 1, 1e9)]
    assert presences == sorted(presences)
    assert presences[2] == 0.5
    assert Calibration.from_json(calibration.to_json()) == calibration


def _clips() -> list[Esc50Clip]:
    labels = [(f"sound {k}", k // 10) for k in range(50)]
    labels += labels[:10]  # the ten most frequent
    return [Esc50Clip(Path(f"{k}.wav"), label, 1, sup) for k, (label, sup) in enumerate(labels)]


def test_absent_sounds_are_drawn_as_named() -> None:
    clips = _clips()
    category = {clip.label: clip.super_category for clip in clips}
    frequent = {label for label, n in Counter(c.label for c in clips).items() if n == 2}
    for kind in ("random", "popular", "adversarial"):
        drawn = draw_absent(clips, kind, 3, seed=0)
        for clip, absent in zip(clips, drawn, strict=True):
            assert clip.label not in absent
            assert len(set(absent)) == 3
            if kind == "adversarial":
                assert {category[label] for label in absent} == {clip.super_category}
            if kind == "popular" and clip.label not in frequent:
                assert set(absent) <= frequent
        assert drawn == draw_absent(clips, kind, 3, seed=0)
        assert drawn != draw_absent(clips, kind, 3, seed=1)


def test_esc50_is_read_from_its_official_layout(esc50_folder: Path, tmp_path: Path) -> None:
    clips = read_esc50(esc50_folder)
    assert len(clips) == 15
    assert clips[0] == Esc50Clip(esc50_folder / "audio/1-0.wav", "hum", 1, 0)
    assert {clip.fold for clip in clips_of_folds(esc50_folder, [2, 4])} == {2, 4}
    with pytest.raises(AudioError, match="expected the ESC-50 data set"):
        read_esc50(tmp_path)


def test_esc50_asks_each_clip_once_in_every_wording(esc50_folder: Path) -> None:
    clips = clips_of_folds(esc50_folder, [5])
    questions = esc50_questions(clips, "random")
    assert len(questions) == 3 * len(WORDINGS) * 2
    assert Counter(question.group for question in questions) == dict.fromkeys(WORDINGS, 6)
    engine: Any = FakeEngine({(clip.path.name, clip.label): 0.9 for clip in clips})
    found = evaluate_esc50(engine, clips)
    assert engine.asked == [(clip.path.name, 10) for clip in clips]
    assert (found.metrics.accuracy, found.f1_std_over_wordings) == (1.0, 0.0)


def test_a_wording_that_is_understood_otherwise_shows_in_the_spread(
    esc50_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = clips_of_folds(esc50_folder, [5])
    monkeypatch.setattr("tests.listening.parse_concept", lambda text: text)
    heard = {
        (clip.path.name, wording.format(clip.label)): 0.9
        for clip in clips
        for wording in WORDINGS[1:]  # the first one is never answered with yes
    }
    engine: Any = FakeEngine(heard)
    found = evaluate_esc50(engine, clips)
    assert list(found.f1_by_wording.values()) == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert found.f1_std_over_wordings == pytest.approx(40.0)
    assert found.metrics.f1_yes == pytest.approx(0.8)
    assert to_report(found).to_json()["f1_by_wording"] == found.f1_by_wording


def _metrics(**figures: float) -> PresenceMetrics:
    plain = presence_metrics(np.array([True, False]), np.array([0.9, 0.1]))
    values: dict[str, Any] = {**plain.__dict__, **figures}
    return PresenceMetrics(**values)


def test_mean_metrics_keep_the_number_of_questions() -> None:
    mean = mean_metrics([_metrics(auroc=0.5), _metrics(auroc=1.0)])
    assert (mean.auroc, mean.n_questions) == (0.75, 2)


def test_a_report_prints_shares_in_per_cent_and_null_for_what_there_is_not() -> None:
    extra = {"spread": (1.5, "points"), "calibrated": (0.25, "%")}
    reports = [Report("one", _metrics(auroc=float("nan")), extra=extra), Report("two", _metrics())]
    lines = report_text(reports, "heading", "table").splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert lines[0] == "heading" and lines[1].split() == ["one", "two"]
    assert rows["accuracy"] == ["100.0", "%", "100.0", "%"]
    assert rows["auroc"] == ["-", "1.000"]
    assert rows["spread"] == ["1.50", "points", "-"]
    assert rows["calibrated"] == ["25.0", "%", "-"]
    described = json.loads(report_text(reports, "heading", "json", {"bundle": "b"}))
    assert described["bundle"] == "b"
    assert described["reports"][0]["metrics"]["auroc"] is None
    assert described["reports"][0]["calibrated"] == 0.25
