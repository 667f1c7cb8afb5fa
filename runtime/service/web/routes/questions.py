"""What is listened for: questions added, removed and their thresholds moved while it runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from listen_edge.runtime.service.records.types import Priority, QuestionStatus
from listen_edge.runtime.service.web.parts import ID, Body, IdInPath, ServiceHere

router = APIRouter(prefix="/v1/questions", tags=["questions"])

Presence = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class NewQuestion(Body):
    """One more sound to listen for; what is not given is as the configuration says."""

    ask: str = Field(max_length=400)
    sources: list[Annotated[str, Field(pattern=ID)]] | None = Field(None, max_length=64)
    on: Presence | None = None
    off: Presence | None = None
    priority: Priority = "normal"


class NewThresholds(Body):
    """Where an event begins and ends."""

    on: Presence
    off: Presence


@router.get("")
def questions(service: ServiceHere) -> list[QuestionStatus]:
    """List what is listened for."""
    return service.questions()


@router.post("", status_code=201)
def add(service: ServiceHere, body: NewQuestion) -> QuestionStatus:
    """Listen for one more sound from the next window on."""
    return service.add_question(body.ask, body.sources, body.on, body.off, body.priority)


@router.delete("/{question}", status_code=204)
def remove(service: ServiceHere, question: IdInPath) -> None:
    """Listen for it no more."""
    service.remove_question(question)


@router.patch("/{question}")
def set_thresholds(service: ServiceHere, question: IdInPath, body: NewThresholds) -> QuestionStatus:
    """Move its thresholds from the next window on."""
    return service.set_thresholds(question, body.on, body.off)
