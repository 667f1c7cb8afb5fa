"""A siren in every state of the field: never absent, and the table of docs/listening.md."""

from __future__ import annotations

import logging

import pytest

from listen_edge.runtime.engine import Engine
from tests.outcomes import Case, cases, documented, outcome, replaying, table

WHOLE = {"whole", "written to a pipe", "recorder died", "channels"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return list(cases(tmp_path_factory.mktemp("outcomes")))


@pytest.fixture(scope="module")
def found(made: list[Case], engine: Engine) -> dict[tuple[str, str], tuple[str, str]]:
    logging.disable(logging.WARNING)
    try:
        return {(case.kind, case.name): outcome(case.ask, engine) for case in made}
    finally:
        logging.disable(logging.NOTSET)


def test_a_siren_is_never_absent_and_no_dog_is_present(
    found: dict[tuple[str, str], tuple[str, str]],
) -> None:
    for case, (there, not_there) in found.items():
        assert there != "absent" and not_there != "present", case


def test_what_is_whole_is_answered_and_what_is_cut_is_an_error(
    found: dict[tuple[str, str], tuple[str, str]],
) -> None:
    for (kind, name), states in found.items():
        if kind in WHOLE:
            assert states == ("present", "absent"), name
        if kind == "cut":
            assert states == ("error", "error"), name


def test_the_documented_table_is_what_happens(
    found: dict[tuple[str, str], tuple[str, str]],
) -> None:
    assert table(found) == documented(), "write it anew: python -m tests.outcomes --write"


def test_replay_says_what_ask_says(
    made: list[Case], found: dict[tuple[str, str], tuple[str, str]], engine: Engine
) -> None:
    for case in made:
        if case.path is not None:
            assert outcome(replaying(case.path), engine) == found[case.kind, case.name], case.name
