"""What the broker may see of us: the password and the certificates, read from their files.

They are read again at every connection: those of a service that runs for months are renewed.
"""

from __future__ import annotations

import ssl

from listen_edge.errors import one_line
from listen_edge.runtime.service.config.models import MqttConfig
from listen_edge.runtime.service.outputs import OutputError

_MAX_PASSWORD_BYTES = 65_536


def password_of(config: MqttConfig) -> str | None:
    """Return the password, None where there is none. OutputError: its file cannot be read."""
    if config.password is not None:
        return config.password.get_secret_value()
    if config.password_file is None:
        return None
    try:
        with config.password_file.open("rb") as file:
            return file.read(_MAX_PASSWORD_BYTES).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else "it is not UTF-8"
        raise OutputError(f"was not asked: password_file {config.password_file}: {reason}") from err


def tls_context(config: MqttConfig) -> ssl.SSLContext | None:
    """Return what checks the broker, None without tls. OutputError: as load_certificates."""
    if not config.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.ca is None:
        context.load_default_certs()
    load_certificates(context, config)
    return context


def load_certificates(context: ssl.SSLContext, config: MqttConfig) -> None:
    """Read the certificates. OutputError: one cannot be read, or does not fit its key."""
    try:
        if config.ca is not None:
            context.load_verify_locations(config.ca)
        if config.certificate is not None:
            context.load_cert_chain(config.certificate, config.key, password="")
    except (OSError, ValueError) as err:
        files = ", ".join(str(path) for path in (config.ca, config.certificate, config.key) if path)
        raise OutputError(f"was not asked: {files}: {one_line(err)}") from err


def told(err: Exception) -> str:
    """Return why there is no connection, in words that follow the peer's name."""
    if isinstance(err, OutputError):
        return str(err)
    if isinstance(err, ssl.SSLError):
        return f"cannot be trusted: {one_line(err)}; see ca, certificate and key"
    if isinstance(err, OSError):
        return f"cannot be reached: {one_line(err.strerror or err)}"
    return f"cannot be understood: {one_line(err)}"
