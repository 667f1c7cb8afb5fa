"""Any OpenAI-compatible chat endpoint: vLLM, llama-server, Gemini's compatible address and so on.

Knows nothing of what is asked. Needs httpx, which the extras `train` and `eval` bring along.

Source: the request and reply of `POST /chat/completions` as OpenAI documents them.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.urls import without_secrets, without_secrets_of

if TYPE_CHECKING:
    import httpx

_LONGEST_WAIT_S = 30.0
_BUSY = (408, 425, 429)  # worth another try, as are 5xx


class EndpointError(ListenEdgeError):
    """A chat endpoint cannot be reached, refuses the request, or answers with nonsense."""


class _RetryableError(Exception):
    """One try failed in a way that another may not; `wait_s` is what the server asked for."""

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Completion:
    """What was written, and whether it was cut off at max_tokens."""

    text: str
    is_cut: bool = False


class ChatEndpoint:
    """A served model. Threads may share one.

    Args:
        base_url: up to and including the version, such as "http://127.0.0.1:8000/v1".
        model: as the server names it.
        api_key: sent as a bearer token; never part of an error.
        timeout_s: seconds without a byte before a try is given up.
        retries: further tries after a time-out, a broken connection, 408, 425, 429, 5xx or a reply
            that is no chat completion.
        backoff_s: seconds before the first further try, doubled for each next one.

    Raises:
        ModuleNotFoundError: httpx is not installed.
        EndpointError: base_url is no http address.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 4,
        backoff_s: float = 0.5,
    ) -> None:
        import httpx

        shown = without_secrets(base_url)
        if not base_url.startswith(("http://", "https://")):
            raise EndpointError(f"{shown}: not an address; expected http://HOST:PORT/v1")
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._shown = without_secrets(self._url)
        self._model, self._retries, self._backoff_s = model, retries, backoff_s
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._client = httpx.Client(timeout=timeout_s, headers=headers, limits=limits)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def complete(
        self,
        messages: list[dict[str, Any]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> str:
        """Return the reply's text, "" if it has none; errors as for completion."""
        return self.completion(
            messages, max_tokens=max_tokens, temperature=temperature, seed=seed
        ).text

    def completion(
        self,
        messages: list[dict[str, Any]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Completion:
        """Return the reply and whether it was cut off.

        Raises:
            EndpointError: a 4xx, at once; what may be mended by waiting, after all tries.
        """
        body = {
            "model": self._model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": temperature,
            **({} if seed is None else {"seed": seed}),
        }
        for k in range(self._retries + 1):
            try:
                return self._try(body)
            except _RetryableError as err:
                if k == self._retries:
                    raise EndpointError(
                        f"{self._shown}: {err} in {k + 1} tries; check the server and run again"
                    ) from err
                doubled = self._backoff_s * 2**k * random.uniform(0.75, 1.25)
                time.sleep(min(_LONGEST_WAIT_S, max(err.wait_s, doubled)))
        raise AssertionError("unreachable")

    def _try(self, body: dict[str, Any]) -> Completion:
        import httpx

        try:
            response = self._client.post(self._url, json=body)
        except httpx.TimeoutException as err:
            raise _RetryableError("no answer in time") from err
        except httpx.InvalidURL as err:
            raise EndpointError(f"{self._shown}: not an address that can be read") from err
        except httpx.RequestError as err:
            reason = without_secrets_of(self._url, str(err)) or type(err).__name__
            raise _RetryableError(f"no connection ({reason})") from err
        status = response.status_code
        if status in _BUSY or status >= 500:
            wait = response.headers.get("Retry-After", "")
            wait_s = float(wait) if wait.isdecimal() else 0.0
            raise _RetryableError(f"HTTP {status}{_reason(response)}", wait_s)
        if status >= 300:
            hint = "; expected an address that ends in /v1" if status == 404 else ""
            raise EndpointError(f"{self._shown}: HTTP {status}{_reason(response)}{hint}")
        return _completion(response)


def _completion(response: httpx.Response) -> Completion:
    try:
        choice = response.json()["choices"][0]
        content = choice["message"].get("content")
        if isinstance(content, list):  # parts, as some endpoints send them
            content = "".join(part.get("text", "") for part in content)
        if content is not None and not isinstance(content, str):
            raise TypeError(content)
        return Completion((content or "").strip(), choice.get("finish_reason") == "length")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as err:
        start = one_line(response.text, 60)
        raise _RetryableError(f"a reply that is no chat completion ({start!r})") from err


def _reason(response: httpx.Response) -> str:
    """Return the start of a refusal's own words, on one line."""
    words = one_line(response.text, 120)
    return f" ({words})" if words else ""
