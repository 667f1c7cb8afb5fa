"""The benchmark's scorer, rule by rule, and the strict reading beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from listen_edge.evaluation.metrics import reply_metrics
from listen_edge.evaluation.official import official_figures, official_reading, strict_reading
from listen_edge.evaluation.questions import Question, Reply
from listen_edge.evaluation.report import grouped_reports

READINGS = [  # words, officially, strictly
    ("Yes", True, True),
    ("yes, a dog barks.", True, True),
    ("No.", False, False),
    ("No, but yes there is a cat", True, False),  # "yes" anywhere wins in the scorer
    ("Animals with eyes", True, None),  # "eyes" holds "yes"
    ("YES", None, True),  # the scorer knows two spellings
    ("no", None, False),  # and misses the lower-case no
    ("I think there is no dog", False, False),
    ("The audio does not contain a dog", False, None),
    ("The audio contains a dog", True, None),
    ("I am unable to hear it", False, None),
    ("Perhaps a dog", None, None),
    ("", None, None),
    ("It is either yes or no", True, None),
    ("  **No**, nothing", False, False),
]


@pytest.mark.parametrize(("text", "officially", "strictly"), READINGS)
def test_responses_are_read_by_both_rules(
    text: str, officially: bool | None, strictly: bool | None
) -> None:
    assert official_reading(text) is officially
    assert strict_reading(text) is strictly


def test_official_figures_take_no_as_positive_and_count_unread_among_no() -> None:
    # Said: yes, unread | no, unread, yes. "No" three times of five, once rightly.
    figures = official_figures([True, True, False, False, False], [True, None, False, None, True])
    assert figures.accuracy == pytest.approx(2 / 5)
    assert figures.precision == pytest.approx(1 / 3)
    assert figures.recall == pytest.approx(1 / 3)
    assert figures.f1 == pytest.approx(1 / 3)
    assert figures.yes_rate == pytest.approx(2 / 5)


def test_a_system_that_always_says_yes_has_no_official_f1() -> None:
    figures = official_figures([True, False], [True, True])
    assert (figures.precision, figures.recall, figures.f1, figures.yes_rate) == (0, 0, 0, 1)


def _asked(*truth: bool) -> list[Question]:
    return [Question(Path("a.wav"), "dog?", "dog", is_present) for is_present in truth]


def _said(text: str) -> Reply:
    return Reply(None, strict_reading(text), text)


def test_strictly_a_failure_is_wrong_whatever_the_truth() -> None:
    metrics = reply_metrics(
        _asked(True, False, True, False), [_said(t) for t in ("", "", "Yes", "No")]
    )
    assert metrics.accuracy == 0.5
    assert metrics.parse_failure_rate == 0.5
    assert metrics.yes_rate == 0.5  # of what was said
    assert (metrics.recall_yes, metrics.recall_no) == (0.5, 0.5)


def test_words_alone_have_no_auroc_and_presence_has() -> None:
    words = reply_metrics(_asked(True, False), [_said("Yes"), _said("No")])
    assert np.isnan([words.auroc, words.ece, words.tpr_at_fpr_1pct]).all()
    scored = reply_metrics(_asked(True, False), [Reply(0.9, True), Reply(0.2, False)])
    assert scored.auroc == 1.0


def test_a_missing_presence_ranks_on_the_wrong_side() -> None:
    replies = [Reply(None, None), Reply(0.4, False), Reply(0.9, True), Reply(0.1, False)]
    assert reply_metrics(_asked(True, False, True, False), replies).auroc == 0.5


def test_an_engines_yes_and_no_count_officially_without_words() -> None:
    replies = [Reply(0.9, True), Reply(0.2, False), Reply(0.8, True)]
    (report,) = grouped_reports(_asked(True, False, False), replies, officially=True)
    assert report.extra["official_accuracy"][0] == pytest.approx(2 / 3)
    assert report.extra["official_recall"] == (0.5, "%")
