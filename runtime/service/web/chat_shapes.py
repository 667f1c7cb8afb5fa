"""What OpenAI's chat completions send and take, as far as one question to one recording goes.

Source: the OpenAPI document of OpenAI's interface, `CreateChatCompletionRequest`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from listen_edge.runtime.service.web.problems import RefusedError
from listen_edge.runtime.service.web.shapes import AnswerLine

_HOW = (
    'send one message of the user with one `input_audio` and one question as text, such as "siren?"'
)


class _Loose(BaseModel):
    """Clients send much that says nothing about a sound: it is not looked at."""

    model_config = ConfigDict(extra="ignore")


class InputAudio(_Loose):
    """A recording in base64; its format is found in it."""

    data: str
    format: Literal["wav", "mp3"]


class TextPart(_Loose):
    """Words of the question."""

    type: Literal["text"]
    text: str = Field(max_length=4096)


class AudioPart(_Loose):
    """The recording."""

    type: Literal["input_audio"]
    input_audio: InputAudio


Part = Annotated[TextPart | AudioPart, Field(discriminator="type")]


class UserMessage(_Loose):
    """A question, with its recording or with that of a message before."""

    role: Literal["user"]
    content: str | list[Part]


class OtherMessage(_Loose):
    """What is not of the user has no say in an answer."""

    role: Literal["system", "developer", "assistant", "tool", "function"]
    content: Any = None


Message = Annotated[UserMessage | OtherMessage, Field(discriminator="role")]


class StreamOptions(_Loose):
    """What the chunks hold."""

    include_usage: bool = False


class ChatRequest(_Loose):
    """One question to one recording."""

    model: str = Field(max_length=256, description="any; the bundle that is loaded answers")
    messages: list[Message] = Field(min_length=1, max_length=256)
    n: Literal[1] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)


class TopLogprob(BaseModel):
    """One of the answers that there are, and the logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob):
    """The answer that was given."""

    top_logprobs: list[TopLogprob]


class Logprobs(BaseModel):
    """Of the one token of the answer; none where nothing was listened to."""

    content: list[TokenLogprob]
    refusal: None = None


class Reply(BaseModel):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: Literal["yes", "no", "unknown"]
    refusal: None = None


class Choice(BaseModel):
    """The only choice."""

    index: Literal[0] = 0
    message: Reply
    logprobs: Logprobs | None
    finish_reason: Literal["stop"] = "stop"


class Usage(BaseModel):
    """Tokens as OpenAI counts them: none are written but the answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 1
    total_tokens: int = 1


class ChatCompletion(BaseModel):
    """An answer in OpenAI's shape; `listen_edge` is the answer line, presence and reason in it."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage = Usage()
    listen_edge: AnswerLine


def schemas() -> dict[str, Any]:
    """Return the schemas of a request, for the OpenAPI document's components."""
    schema = ChatRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), ChatRequest.__name__: schema}


def asked(chat: ChatRequest) -> tuple[str, bytes]:
    """Return the question of a request, and its recording.

    Raises:
        RefusedError: not one recording and one question, or no base64.
    """
    users = [message for message in chat.messages if isinstance(message, UserMessage)]
    if not users:
        raise RefusedError(400, f"no message of the user; {_HOW}")
    words = " ".join(_words(users[-1])).strip()
    sounds = [part.input_audio.data for part in _parts(users[-1]) if isinstance(part, AudioPart)]
    if not words or len(sounds) != 1:
        found = f"{len(sounds)} recordings and {'a' if words else 'no'} question"
        raise RefusedError(400, f"{found} in the user's last message; {_HOW}")
    try:
        return words, base64.b64decode(sounds[0], validate=True)
    except (binascii.Error, ValueError) as err:
        raise RefusedError(400, f"input_audio.data is no base64 ({err}); {_HOW}") from err


def _parts(message: UserMessage) -> list[TextPart | AudioPart]:
    return [] if isinstance(message.content, str) else message.content


def _words(message: UserMessage) -> list[str]:
    if isinstance(message.content, str):
        return [message.content]
    return [part.text for part in message.content if isinstance(part, TextPart)]
