"""The OpenAPI document is true: what it allows is answered as it says, all else is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core import NOT_SET

from tests.web_client import Served, serving

FEW = settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
# hardly any text is a question, and no schema says that off lies below on
MEANT = ("/v1/ask", "/v1/chat/completions", "/v1/questions", "/v1/what-if")
ENDLESS = "/v1/stream"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("web")) as served:
        for presence in (0.1, 0.97, 0.98, 0.1):
            served.service.hear("kitchen", "siren", presence)
        yield served


def test_answers_as_its_document_says(served: Served) -> None:
    document = schemathesis.openapi.from_url(f"{served.url}openapi.json")
    operations = [found.ok() for found in document.exclude(path=ENDLESS).get_all_operations()]
    n_answered = sum(n_true(one, mode) for one in operations for mode in GenerationMode)
    assert len(operations) >= 20 and n_answered >= 200


def n_true(operation: Any, mode: GenerationMode) -> int:
    """Ask one route some times; return how often, all answers being as the document says."""
    is_meant = operation.path in MEANT
    excluded = [CHECKS.get_one("positive_data_acceptance")] if is_meant else []
    statuses = []

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        headers = {"Content-Type": "application/json"} if case.body is NOT_SET else {}
        response = case.call(headers=headers)
        case.validate_response(response, excluded_checks=excluded)
        statuses.append(response.status_code)

    with suppress(Unsatisfiable):  # nothing can be wrong with a request that says nothing
        ask()
    return len(statuses)
