"""Clotho-AQA's yes/no questions, by majority and where all three annotators agree.

People asked what they liked: "Are there waves?", but also "Is the area dry?". A system that tells
presence can be asked the first kind only; the second kind is counted as unsupported, never dropped.

Source: clotho_aqa_test.csv of zenodo.org/records/6473207 (Lipping et al., 2022): columns file_name,
QuestionText, answer, confidence, three rows a question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from listen_edge.errors import QuestionError
from listen_edge.evaluation.metrics import reply_metrics
from listen_edge.evaluation.questions import BenchmarkError, Question, Reply, read_table
from listen_edge.evaluation.report import Report
from listen_edge.question import parse_concept

_COLUMNS = ("file_name", "QuestionText", "answer")
_N_ANNOTATORS = 3
_EXISTENCE = re.compile(
    r"^(?:(?:is|are) there|(?:can|do|did) (?:you|we|i|one) (?:hear|detect|notice)|"
    r"does (?:the|this) (?:audio|recording|clip|sound) (?:contain|include|have))\b",
    re.IGNORECASE,
)
_ACTION = re.compile(  # "Is a dog barking?", "Are the birds chirping in the background?"
    r"^(?:is|are) (?:(?:an?|the|any|some) )?(?:\w+ ){1,2}\w+ing(?: in the background)?\s*\??$",
    re.IGNORECASE,
)
# Counts, comparisons, order, places and things that an earlier sentence would have to name.
_NOT_PRESENCE = re.compile(
    r"\b(?:more|less|fewer|many|several|multiple|only|one|two|three|four|five|than|same|different|"
    r"else|other|another|before|after|while|when|first|last|then|end|beginning|start|stop|change|"
    r"get|getting|pause|break|it|its|this|that|these|those|they|them|thing|things|something|"
    r"nothing|anything|sounds?|noises?|pitch|close|with|there|no|not|never|constant|constantly|or|inside|outside|near|"
    r"nearby|around|far|away|place|moving|happening|increasing|decreasing|coming|going|being|"
    r"continuous|continuously|playing together|loud|louder|quiet|who|which|what|trying)\b",
    re.IGNORECASE,
)
_MAX_WORDS = 4  # of a concept: longer ones hold relations, not a sound


@dataclass(frozen=True)
class AqaQuestion:
    """A yes/no question with its answers.

    Attributes:
        concept: what it asks the presence of; None if it asks something else.
        is_unanimous: whether all annotators gave the majority's answer.
    """

    file_name: str
    text: str
    concept: str | None
    is_yes: bool
    is_unanimous: bool


def read_clotho_aqa(path: Path) -> list[AqaQuestion]:
    """Return the yes/no questions; those with other answers are left out.

    Raises:
        BenchmarkError: not Clotho-AQA's table, or no yes/no question in it.
    """
    answers: dict[tuple[str, str], list[str]] = {}
    for row in read_table(path, _COLUMNS):
        question = row["file_name"].strip(), row["QuestionText"].strip()
        answers.setdefault(question, []).append(row["answer"].strip().lower())
    questions = list(_yes_no(path, answers))
    if not questions:
        raise BenchmarkError(f"{path}: no question that is answered with yes or no")
    return questions


def _yes_no(path: Path, answers: dict[tuple[str, str], list[str]]) -> Iterator[AqaQuestion]:
    for (file_name, text), given in answers.items():
        if not set(given) <= {"yes", "no"}:
            continue
        if len(given) % _N_ANNOTATORS:
            raise BenchmarkError(
                f"{path}: {file_name}: {text!r} has {len(given)} answers, "
                f"expected {_N_ANNOTATORS} annotators"
            )
        n_yes = given.count("yes")
        is_unanimous = n_yes in (0, len(given))
        yield AqaQuestion(
            file_name, text, presence_concept(text), 2 * n_yes > len(given), is_unanimous
        )


def presence_concept(text: str) -> str | None:
    """Return the sound whose presence a free question asks for, None if it asks something else."""
    plain = " ".join(text.split())
    if not (_EXISTENCE.match(plain) or _ACTION.match(plain)):
        return None
    try:
        concept = parse_concept(plain)
    except QuestionError:
        return None
    if _NOT_PRESENCE.search(concept) or len(concept.split()) > _MAX_WORDS:
        return None
    return concept


def to_questions(
    asked: list[AqaQuestion], audio_dir: Path, *, allow_missing: bool, every: bool
) -> tuple[list[Question], int]:
    """Return the questions, grouped into unanimous and disputed, and how many lack a recording.

    Args:
        every: also those that do not ask for presence, for systems that understand them.

    Raises:
        BenchmarkError: a recording is not there.
    """
    names = {question.file_name for question in asked}
    missing = {name for name in names if not (audio_dir / name).is_file()}
    if missing and (not allow_missing or missing == names):
        raise BenchmarkError(
            f"{audio_dir}: {len(missing)} of {len(names)} recordings are not there, such as "
            f"{min(missing)}; Clotho-AQA's are in zenodo.org/records/6473207 (audio_files.zip); "
            "--allow-missing leaves their questions out"
        )
    questions = [
        Question(
            audio_dir / question.file_name,
            question.text,
            question.concept or "",
            question.is_yes,
            "unanimous" if question.is_unanimous else "disputed",
        )
        for question in asked
        if question.file_name not in missing and (every or question.concept is not None)
    ]
    return questions, sum(question.file_name in missing for question in asked)


def aqa_reports(
    asked: Sequence[AqaQuestion], questions: Sequence[Question], replies: Sequence[Reply]
) -> list[Report]:
    """Return the figures by majority and of unanimous questions.

    `supported` is the share of questions that could be put to the system, `accuracy_of_all`
    counts the others as answered wrongly.
    """
    reports = []
    for name in ("majority", "unanimous"):
        pairs = [
            (question, reply)
            for question, reply in zip(questions, replies, strict=True)
            if name in ("majority", question.group)
        ]
        if not pairs:
            continue
        metrics = reply_metrics([question for question, _ in pairs], [reply for _, reply in pairs])
        n_asked = sum(name == "majority" or question.is_unanimous for question in asked)
        supported = len(pairs) / n_asked
        extra = {
            "supported": (supported, "%"),
            "accuracy_of_all": (metrics.accuracy * supported, "%"),
        }
        reports.append(Report(name, metrics, extra=extra))
    return reports
