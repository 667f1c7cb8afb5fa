"""Who may ask: loopback alone without a token, else whoever holds it; no other site's pages.

A plain ASGI layer before all routes, so that none can be forgotten.
"""

from __future__ import annotations

import hmac
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from listen_edge.runtime.service.web.problems import RefusedError, refused

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_OPEN = ("/", "/docs", "/openapi.json", "/healthz")  # they tell nothing of the device
_OPEN_BELOW = "/page/"
_SAFE = ("GET", "HEAD", "OPTIONS")
_BODIES = ("application/json", "multipart/form-data", "application/octet-stream")
_MEDIA = ("audio/", "video/")
_HEAD_BYTES = 16 << 10
_N_FAILURES, _REFILL_S = 10, 6.0  # ten wrong tokens at once, then one in six seconds
_N_ADDRESSES = 1024
_LOOPBACK_NAMES = ("localhost", "localhost.localdomain")


class Failures:
    """How often each address was wrong: a bucket of tries that fills again, in a bounded table.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tries, at
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> float:
        """Return how long an address must wait before it may try, 0 if it may."""
        with self._lock:
            return max(0.0, (self._now_spent(_network(address)) - _N_FAILURES + 1) * _REFILL_S)

    def add(self, address: str) -> None:
        """Count a wrong token."""
        network = _network(address)
        with self._lock:
            spent = self._now_spent(network) + 1
            self._spent[network] = spent, self._clock()
            self._spent.move_to_end(network)
            while len(self._spent) > _N_ADDRESSES:
                self._spent.popitem(last=False)

    def _now_spent(self, network: str) -> float:
        spent, at = self._spent.get(network, (0.0, 0.0))
        return max(0.0, spent - (self._clock() - at) / _REFILL_S) if spent else 0.0


class Guard:
    """Refuses what may not come in, before any route sees it.

    Args:
        app: what lies behind.
        token: that a client must send; None: only loopback may ask.
        hosts: names under which it may be asked for, beside loopback's; () is any with a token.
        failures: of addresses.
    """

    def __init__(
        self, app: App, token: str | None, hosts: Sequence[str], failures: Failures
    ) -> None:
        self._app, self._failures = app, failures
        self._hosts = tuple(host.lower() for host in hosts)
        self._digest = None if token is None else sha256(token.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(scope)
            except RefusedError as err:
                await refused(err)(scope, receive, send)  # type: ignore[arg-type]
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        if sum(map(len, (*headers, *headers.values()))) > _HEAD_BYTES:
            raise RefusedError(431, f"headers of more than {_HEAD_BYTES} bytes; send less")
        path: str = scope["path"]
        if self._digest is None or self._hosts:
            self._check_host(headers)
        is_open = path in _OPEN or path.startswith(_OPEN_BELOW)
        if self._digest is not None and not is_open:
            self._check_token(headers, (scope.get("client") or ("unknown",))[0])
        is_safe = scope["method"] in _SAFE
        if not (is_safe and (is_open or headers.get("sec-fetch-dest") == "document")):
            _check_site(headers)
        if not is_safe and scope["method"] != "DELETE":
            _check_body(headers)

    def _check_host(self, headers: Mapping[str, str]) -> None:
        """Refuse a name that another site may have pointed at this machine (DNS rebinding)."""
        host = _host_of(f"//{headers.get('host', '')}")
        if host is None or not (is_loopback(host) or host.lower() in self._hosts):
            raise RefusedError(
                403,
                "asked for under a name that is not this machine's own; open http://localhost or "
                "http://127.0.0.1, or name it under `hosts` in the configuration's web section",
            )

    def _check_token(self, headers: Mapping[str, str], address: str) -> None:
        """Let in whoever holds the token, whatever others behind the same address have sent."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        digest = sha256(given.strip().encode("latin-1")).digest()
        assert self._digest is not None
        if hmac.compare_digest(digest, self._digest) and scheme.lower() == "bearer":
            return
        if given:
            self._count_failure(address)
        raise RefusedError(
            401,
            f"{'a wrong' if given else 'no'} token; send the one of the configuration's web section"
            " as `Authorization: Bearer TOKEN`",
            {"WWW-Authenticate": "Bearer"},
        )

    def _count_failure(self, address: str) -> None:
        wait_s = self._failures.wait_s(address)
        if wait_s > 0:
            seconds = str(round(wait_s + 0.5))
            raise RefusedError(
                429,
                f"too many wrong tokens from this address; try again in {seconds} s",
                {"Retry-After": seconds},
            )
        self._failures.add(address)


def is_loopback(host: str) -> bool:
    """Tell whether a name or address, with or without brackets, is this machine's own."""
    name = host.strip("[]").lower().rstrip(".")
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _check_site(headers: Mapping[str, str]) -> None:
    """Refuse what another site's page asks for: a change, or what costs time to read."""
    origin, host = headers.get("origin"), headers.get("host", "")
    is_foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    if origin is not None:
        is_foreign |= origin.lower().partition("://")[2] != host.lower()
    if is_foreign:
        raise RefusedError(403, "a page of another site asks for this; open the service's own page")


def _check_body(headers: Mapping[str, str]) -> None:
    """Refuse the types of body that a form of another site can send without asking first."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _BODIES and not kind.startswith(_MEDIA):
        raise RefusedError(
            415, "content type missing or unknown; send application/json, or audio as it is"
        )


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _network(address: str) -> str:
    """Return what one client is likely to hold: an IPv4 address, or 64 bits of IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
