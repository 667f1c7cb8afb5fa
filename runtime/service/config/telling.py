"""Who is told: lines, MQTT, webhooks, commands, the desktop."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from listen_edge.runtime.service.config.base import Model, twice_named
from listen_edge.runtime.service.config.fields import FilePath, Id, Place, Words, node_name


class LinesConfig(Model):
    """Events as JSON lines."""

    path: FilePath = Field(default=Path("-"), description='file; "-" is standard output')
    rotate_mb: float = Field(
        default=10,
        gt=0,
        le=100_000,
        description="MB from which a file is begun anew; one old is kept",
    )


class MqttConfig(Model):
    """A broker, and Home Assistant behind it."""

    host: Words = Field(description="name or address of the broker")
    port: int | None = Field(default=None, ge=1, le=65_535, description="1883, or 8883 with tls")
    username: Words | None = Field(default=None, description="of the broker")
    password: SecretStr | None = Field(default=None, description="of the broker")
    password_file: FilePath | None = Field(default=None, description="file that holds the password")
    node: Id = Field(default_factory=node_name, description="id of this device in topics")
    prefix: Id = Field(default="listen-edge", description="first level of all topics")
    discovery: bool = Field(default=True, description="announce everything to Home Assistant")
    discovery_prefix: Id = Field(
        default="homeassistant", description="topic that Home Assistant reads"
    )
    tls: bool = Field(default=False, description="encrypt, and check the broker's certificate")
    ca: FilePath | None = Field(
        default=None, description="certificates to trust; the system's otherwise"
    )
    certificate: FilePath | None = Field(default=None, description="this device's, for the broker")
    key: FilePath | None = Field(default=None, description="private key of `certificate`")

    @property
    def port_number(self) -> int:
        """The port, or the usual one."""
        return self.port or (8883 if self.tls else 1883)

    def problems(self) -> list[tuple[Place, str]]:
        found: list[tuple[Place, str]] = []
        if self.password is not None and self.username is None:
            found.append((("password",), "there is no username"))
        for name in ("ca", "certificate", "key"):
            if getattr(self, name) is not None and not self.tls:
                found.append(((name,), "is of no use without tls: true"))
        if (self.certificate is None) != (self.key is None):
            name = "certificate" if self.key is None else "key"
            found.append(((name,), "expected certificate and key together"))
        return found


class WebhookConfig(Model):
    """An address that events are posted to."""

    id: Id = Field(description="names the output: webhook:ID")
    url: SecretStr = Field(
        description="https://... that takes a POST; hidden, as it may be a secret"
    )
    url_file: FilePath | None = Field(default=None, description="file that holds the url")
    secret: SecretStr | None = Field(default=None, min_length=8, description="signs what is posted")
    secret_file: FilePath | None = Field(default=None, description="file that holds the secret")
    allow_private: bool = Field(default=False, description="allow addresses of the local network")
    timeout: float = Field(default=10, gt=0, le=120, description="seconds for one attempt in all")

    def problems(self) -> list[tuple[Place, str]]:
        host, fault = _web_host(self.url.get_secret_value())
        if fault:
            return [(("url",), fault)]
        if not self.allow_private and _is_private(host):
            return [(("url",), "is an address of the local network; set allow_private: true")]
        return []


class CommandConfig(Model):
    """A program that is run for every event, its JSON on stdin."""

    id: Id = Field(description="names the output: command:ID")
    run: tuple[str, ...] = Field(
        min_length=1, max_length=64, description="program, by its whole path, and its arguments"
    )
    timeout: float = Field(default=10, gt=0, le=3600, description="seconds until it is ended")

    def problems(self) -> list[tuple[Place, str]]:
        if not Path(self.run[0]).is_absolute():
            return [(("run", 0), "expected the program's whole path; no shell looks for it")]
        bad = [k for k, word in enumerate(self.run) if "\0" in word]
        return [(("run", k), "holds a NUL character") for k in bad]


class OutputsConfig(Model):
    """Who is told of events."""

    lines: LinesConfig | None = Field(
        default_factory=LinesConfig,
        description="JSON lines, on standard output if nothing is said; null: none",
    )
    mqtt: MqttConfig | None = Field(default=None, description="broker; none if not given")
    webhooks: tuple[WebhookConfig, ...] = Field(default=(), max_length=32, description="addresses")
    commands: tuple[CommandConfig, ...] = Field(default=(), max_length=32, description="programs")
    desktop: bool = Field(default=False, description="show a notification on this desktop")

    def problems(self) -> list[tuple[Place, str]]:
        return [
            problem
            for key in ("webhooks", "commands")
            for problem in twice_named(key, [one.id for one in getattr(self, key)])
        ]


def _web_host(url: str) -> tuple[str, str | None]:
    """Return the host of a URL, and what is wrong with it."""
    expected = "expected https://HOST/... or http://HOST/..."
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "", expected
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        return "", expected
    if parts.username is not None or parts.password is not None:
        return "", "holds a user name or a password, which would be sent to nobody; leave it out"
    return host, None


def _is_private(host: str) -> bool:
    """Tell it of what is written; names are looked up when they are connected to."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
