"""OpenAI's chat completions, so that existing clients can ask: one recording, one question.

The words of the last message are a question to parse_concept and nothing else; there is no chat.
The answer is "yes", "no" or "unknown". Beside OpenAI's keys, `listen_edge` holds the answer line.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from listen_edge.lines.answer import Answer
from listen_edge.question import parse_concept
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.web.bounds import Limits
from listen_edge.runtime.service.web.chat_shapes import (
    ChatCompletion,
    ChatRequest,
    Choice,
    Logprobs,
    Reply,
    TokenLogprob,
    TopLogprob,
    asked,
)
from listen_edge.runtime.service.web.parts import LimitsHere, ServiceHere
from listen_edge.runtime.service.web.problems import RefusedError, malformed
from listen_edge.runtime.service.web.shapes import answer_line
from listen_edge.runtime.service.web.uploads import LARGE_BYTES, Gate, Upload, answer, as_file

router = APIRouter(prefix="/v1", tags=["ask"])

_NEVER = -9999.0  # OpenAI's logarithm of a probability of 0
_MAX_VALUES = 1 << 16  # of a body; each takes up to 200 bytes once it is read
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChatRequest"}}},
    }
}


@router.post("/chat/completions", response_model=ChatCompletion, openapi_extra=_BODY)
async def complete(request: Request, service: ServiceHere, limits: LimitsHere) -> Any:
    """Answer "yes", "no" or "unknown" to a question about a recording (`input_audio`, base64)."""
    gate: Gate = request.app.state.gate
    with gate.admit() as upload:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > LARGE_BYTES:
                upload.grow()
        chat, given = await run_in_threadpool(_answer, service, body, upload, limits)
    whole = _completion(chat, given)
    return _streamed(whole, chat) if chat.stream else whole


def _answer(
    service: Service, body: bytearray, upload: Upload, limits: Limits
) -> tuple[ChatRequest, Answer]:
    if sum(map(body.count, (b",", b"[", b"{"))) > _MAX_VALUES:  # base64 has none of these
        raise RefusedError(413, f"more than {_MAX_VALUES} values in the request; send fewer")
    try:
        chat = ChatRequest.model_validate_json(bytes(body))
    except ValidationError as err:
        raise RefusedError(400, malformed(err.errors(include_input=False))) from err
    question, recording = asked(chat)
    parse_concept(question)
    chat.messages.clear()  # they hold the recording once more
    body.clear()
    with as_file(recording, limits) as file:
        del recording
        return chat, answer(service, file, [question], "input_audio", upload, limits)[0]


def _completion(chat: ChatRequest, given: Answer) -> ChatCompletion:
    content = {"present": "yes", "absent": "no", "unknown": "unknown"}[given.state]
    reply = Reply.model_validate({"content": content})
    logprobs = _logprobs(content, given, chat.top_logprobs or 0) if chat.logprobs else None
    return ChatCompletion(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=given.bundle,
        choices=[Choice(message=reply, logprobs=logprobs)],
        listen_edge=answer_line(given),
    )


def _logprobs(content: str, given: Answer, n_top: int) -> Logprobs:
    """Return the logarithm of presence for "yes", of the rest for "no"; "unknown" is sure of that.

    Its alternatives are "yes" and "no" too, so that presence can be read from every answer.
    """
    if given.presence is None:
        return Logprobs(content=[])
    shares = {"yes": given.presence, "no": 1 - given.presence}
    tokens = [_token(word, shares[word]) for word in sorted(shares, key=shares.__getitem__)]
    own = _token(content, shares.get(content, 1.0))
    top = tokens[::-1][:n_top]
    return Logprobs(content=[TokenLogprob(**own.model_dump(), top_logprobs=top)])


def _token(word: str, share: float) -> TopLogprob:
    logprob = max(_NEVER, math.log(share)) if share > 0 else _NEVER
    return TopLogprob(token=word, logprob=logprob, bytes=list(word.encode()))


def _streamed(whole: ChatCompletion, chat: ChatRequest) -> Response:
    """Return the completion as server-sent chunks, as OpenAI's clients read them."""
    choice = whole.choices[0].model_dump()
    shared = whole.model_dump(exclude={"choices", "usage", "listen_edge"})
    shared["object"] = "chat.completion.chunk"
    first = {"index": 0, "delta": choice["message"], "finish_reason": None}
    first["logprobs"] = choice["logprobs"]
    last = {"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": None}
    chunks = [
        {**shared, "choices": [first], "listen_edge": whole.listen_edge.model_dump()},
        {**shared, "choices": [last]},
    ]
    if chat.stream_options and chat.stream_options.include_usage:
        chunks.append({**shared, "choices": [], "usage": whole.usage.model_dump()})

    def lines() -> Iterator[str]:
        for chunk in chunks:
            yield f"data: {json.dumps(chunk)}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")
