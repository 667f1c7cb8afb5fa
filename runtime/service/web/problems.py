"""Every failure as one JSON shape, that of OpenAI's interface, with our one line in it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from listen_edge.errors import AudioError, ListenEdgeError, QuestionError, one_line
from listen_edge.runtime.service.questions import UnknownIdError
from listen_edge.runtime.service.records.schema import StoreError
from listen_edge.runtime.service.sharing import BusyError

logger = logging.getLogger(__name__)

_N_TOLD = 5  # errors of one request
_CODES = {
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    429: "rate_limit_exceeded",
}

_SAID = {  # in place of the framework's words
    404: "there is no such address; /docs names those that there are",
    405: "this address does not take this method; /docs names those that it takes",
}


class RefusedError(ListenEdgeError):
    """A request that is refused.

    Args:
        status: of HTTP.
        message: one line.
        headers: of the response.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


class ProblemText(BaseModel):
    """What went wrong.

    Attributes:
        message: one line for people: what, where, what was expected.
        code: for programs.
    """

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Problem(BaseModel):
    """The body of every response that is no success."""

    error: ProblemText


def problem(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a failure as a response."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    text = ProblemText(message=message, type=kind, code=_CODES.get(status))
    return JSONResponse(Problem(error=text).model_dump(), status, headers=headers)


def refused(err: ListenEdgeError) -> JSONResponse:
    """Return one of our errors as a response."""
    if isinstance(err, RefusedError):
        return problem(err.status, str(err), err.headers)
    if isinstance(err, BusyError):
        return problem(429, str(err), {"Retry-After": str(max(1, round(err.retry_after_s)))})
    if isinstance(err, UnknownIdError):
        return problem(404, one_line(err, 500))
    if isinstance(err, StoreError):
        return problem(503, one_line(err, 500))
    status = 422 if isinstance(err, (AudioError, QuestionError)) else 409
    return problem(status, one_line(err, 500))


def malformed(errors: Sequence[Any]) -> str:
    """Return pydantic's errors as one line; what was sent is not in it."""
    told = [
        f"{'.'.join(map(str, error['loc'])) or 'body'}: {error['msg']}"
        for error in errors[:_N_TOLD]
    ]
    return one_line("; ".join(told), 500) + ("; ..." if len(errors) > _N_TOLD else "")


def add_handlers(app: FastAPI) -> None:
    """Answer every failure of the routes in this shape."""

    @app.exception_handler(ListenEdgeError)
    def _refused(_request: Request, err: ListenEdgeError) -> JSONResponse:
        return refused(err)

    @app.exception_handler(RequestValidationError)
    def _malformed(_request: Request, err: RequestValidationError) -> JSONResponse:
        return problem(422, malformed(err.errors()))

    @app.exception_handler(400)  # these three come as the framework's own class
    @app.exception_handler(404)
    @app.exception_handler(405)
    @app.exception_handler(HTTPException)
    def _http(_request: Request, err: HTTPException) -> JSONResponse:
        said = _SAID.get(err.status_code) or one_line(str(err.detail))
        return problem(err.status_code, said, err.headers)

    @app.exception_handler(Exception)
    def _unforeseen(_request: Request, _err: Exception) -> JSONResponse:
        return problem(500, "the service failed at this request; its log says how")
