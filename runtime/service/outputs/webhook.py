"""A webhook: the JSON of each phase of an event is posted to an address, signed.

`X-Listen-Edge-Signature: v1=HEX` is the HMAC-SHA256 of "TIMESTAMP.BODY" under the shared secret,
TIMESTAMP being `X-Listen-Edge-Timestamp`: a receiver that refuses old ones cannot be replayed to.

Source: the scheme of Stripe's and Standard Webhooks' signatures; RFC 9110 on Retry-After.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence

from listen_edge import __version__
from listen_edge.runtime.service.config.telling import WebhookConfig
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.message import delivery_key, stored_event_line
from listen_edge.runtime.service.outputs.posting import Poster
from listen_edge.runtime.service.records.types import (
    Delivery,
    QuestionStatus,
    Sounding,
    SourceStatus,
)

_AGAIN = (408, 425, 429)  # worth another try, as are 5xx


class Webhook:
    """An Output that posts; see WebhookConfig."""

    def __init__(self, config: WebhookConfig) -> None:
        self.name = f"webhook:{config.id}"
        self._secret = None if config.secret is None else config.secret.get_secret_value().encode()
        self._poster = Poster(
            config.url.get_secret_value(),
            timeout_s=config.timeout,
            allow_private=config.allow_private,
        )

    def start(self) -> None:
        """Be ready; nothing is connected to before there is something to say."""
        self._poster.start()

    def deliver(self, delivery: Delivery) -> None:
        """Post one phase of an event; an answer of 2xx means that it was taken.

        Raises:
            OutputError: it was not; lasting for what another try would not change, and for
                redirects, which are not followed.
        """
        body = stored_event_line(delivery).encode()
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"listen-edge/{__version__}",
            "Idempotency-Key": delivery_key(delivery),
            "X-Listen-Edge-Timestamp": timestamp,
        }
        if self._secret is not None:
            headers["X-Listen-Edge-Signature"] = signature(self._secret, timestamp, body)
        reply = self._poster.post(body, headers)
        if 200 <= reply.status < 300:
            return
        what = f"{self._poster.shown}: HTTP {reply.status}"
        if reply.status in _AGAIN or reply.status >= 500:
            raise OutputError(what, retry_after_s=reply.retry_after_s)
        if 300 <= reply.status < 400:
            what += "; redirects are not followed, give the address that it leads to"
        raise OutputError(what, is_lasting=True)

    def show(
        self,
        sources: Sequence[SourceStatus],
        questions: Sequence[QuestionStatus],
        soundings: Sequence[Sounding],
    ) -> None:
        """A webhook is told of events alone."""

    def stop(self) -> None:
        """End a post that goes on."""
        self._poster.stop()


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the value of X-Listen-Edge-Signature."""
    signed = timestamp.encode() + b"." + body
    return "v1=" + hmac.new(secret, signed, hashlib.sha256).hexdigest()
