"""A webhook to a test's receiver, and how it fails: never with a secret in its words."""

from __future__ import annotations

from typing import Any

import pytest

from listen_edge.runtime.service.config.telling import WebhookConfig
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.webhook import Webhook
from tests.outputs import owed

SECRET = "a-shared-secret"
SECRETS = (SECRET, "s3cret", "t0ken")


def webhook_to(url: str, **options: Any) -> Webhook:
    options = {"allow_private": True, "timeout": 5.0, "secret": SECRET, **options}
    return Webhook(WebhookConfig(id="phone", url=url, **options))


def refusal_of(url: str, **options: Any) -> OutputError:
    with pytest.raises(OutputError) as refused:
        webhook_to(url, **options).deliver(owed(1))
    assert not any(secret in str(refused.value) for secret in SECRETS)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 200
    return refused.value
