"""Is this sound in this recording? An upload and its questions -> answer lines."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from listen_edge.errors import one_line
from listen_edge.question import parse_concept
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.web.bounds import Limits
from listen_edge.runtime.service.web.parts import LimitsHere, ServiceHere
from listen_edge.runtime.service.web.problems import RefusedError
from listen_edge.runtime.service.web.shapes import AnswerLine, answer_line
from listen_edge.runtime.service.web.uploads import (
    LARGE_BYTES,
    Gate,
    Upload,
    answer,
    check_size,
    receive,
)

router = APIRouter(prefix="/v1", tags=["ask"])

_MAX_FIELD = 4096  # bytes of a question in a form
_FORM = {
    "type": "object",
    "required": ["file", "question"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "question": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "application/octet-stream": _BINARY,
            "audio/wav": _BINARY,
            "audio/flac": _BINARY,
            "audio/mpeg": _BINARY,
            "audio/ogg": _BINARY,
        },
    }
}


class Answers(BaseModel):
    """One answer a question, in their order."""

    answers: list[AnswerLine]


@router.post("/ask", openapi_extra=_UPLOAD)
async def ask(
    request: Request,
    service: ServiceHere,
    limits: LimitsHere,
    question: Annotated[list[str] | None, Query(description="with audio as the body")] = None,
) -> Answers:
    """Answer questions about a recording: a form with `file` and `question`, or audio as the body.

    A recording of any format that `listen-edge ask` reads. It is not kept.
    """
    gate: Gate = request.app.state.gate
    asked = list(question or ())
    with gate.admit() as upload:
        if request.headers["content-type"].lower().startswith("multipart/form-data"):
            return await _ask_form(request, service, asked, upload, limits)
        check_questions(asked, limits)
        with await receive(request.stream(), limits) as file:
            return await _answers(service, file, asked, "upload", upload, limits)


async def _ask_form(
    request: Request, service: Service, asked: list[str], upload: Upload, limits: Limits
) -> Answers:
    async with request.form(
        max_files=1, max_fields=limits.n_questions, max_part_size=_MAX_FIELD
    ) as form:
        asked += [value for value in form.getlist("question") if isinstance(value, str)]
        check_questions(asked, limits)
        part = form.get("file")
        if part is None or isinstance(part, str):
            raise RefusedError(422, "the form holds no recording; send one as its part `file`")
        check_size(part.size or 0, limits)
        part.file.rollover()  # type: ignore[attr-defined]  # to the disk, where decoders read it
        part.file.flush()
        name = one_line(part.filename or "upload", 100)
        return await _answers(service, part.file, asked, name, upload, limits)


async def _answers(
    service: Service, file: Any, asked: list[str], name: str, upload: Upload, limits: Limits
) -> Answers:
    if file.seek(0, 2) > LARGE_BYTES:
        upload.grow()
    given = await run_in_threadpool(answer, service, file, asked, name, upload, limits)
    return Answers(answers=[answer_line(one) for one in given])


def check_questions(asked: list[str], limits: Limits) -> None:
    """Refuse none, too many, and what names no sound, before anything is decoded."""
    if not 1 <= len(asked) <= limits.n_questions:
        raise RefusedError(
            422,
            f"{len(asked)} questions, expected 1 to {limits.n_questions}; send `question`, for "
            'example "siren?"',
        )
    for words in asked:
        parse_concept(words)
