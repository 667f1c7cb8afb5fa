"""URLs as they may be shown: in a line, an error, a log or a name nothing of a secret remains.

What is not well formed is taken at its worst: a password may hold any character, and a URL that can
be read in two ways is not shown beyond its scheme.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

# Each takes a time in proportion to the text: the end of a long scheme is one too, and a key begins
# where no other does.
_HEAD = re.compile(r".*?[a-z][a-z0-9+.-]{1,30}:/{1,2}", re.IGNORECASE | re.DOTALL)
_IN_TEXT = re.compile(r"[a-z][a-z0-9+.-]{1,30}:/{1,2}[^\s/]\S*", re.IGNORECASE)
_KEY = re.compile(r"(?<![^/?&;#=@])([^/?&;#=@]*)=")
_SECRET = re.compile(
    r"user|usr|login|pass|pwd|psw|token|key|auth|secret|sig|cred|session|jwt|otp|hash|nonce|ticket|"
    r"access|^(?:u|p|pw|un)$",
    re.IGNORECASE,
)
_LEFT_OUT = "…"


def sounds_secret(name: str) -> bool:
    """Tell whether a key, an option or a variable of this name is likely to hold a secret."""
    return _SECRET.search(name) is not None


def is_url(text: str) -> bool:
    """Tell whether a text has a scheme, with one slash as well: as a path it loses the other."""
    return bool(_head(text))


def without_secrets(url: str) -> str:
    """Return a URL without its user name and password, cut before the first secret it names.

    Cameras carry secrets in the query or in the path ("rtsp://host/user=me&password=pw&channel=1"):
    from the first key that sounds like one, all is left out. What comes before it, such as
    "?channel=1", is kept.
    """
    return _shown_and_hidden(url)[0]


def without_secrets_of(url: str, text: str) -> str:
    """Return another program's words about a URL without the secrets of this or of any URL."""
    shown, hidden = _shown_and_hidden(url)
    text = text.replace(url, shown)
    whole = {part for piece in (hidden, unquote(hidden)) for part in (piece, *_words(piece))}
    long = sorted((part for part in whole if len(part) > 2), key=len, reverse=True)
    short = [rf"(?<!\w){re.escape(part)}(?!\w)" for part in whole if 0 < len(part) <= 2]
    if pattern := "|".join([*map(re.escape, long), *short]):
        text = re.sub(pattern, _LEFT_OUT, text)
    return with_urls(text, without_secrets)


def with_urls(text: str, show: Callable[[str], str]) -> str:
    """Return a text in which every URL is as it may be shown."""
    return _IN_TEXT.sub(lambda found: show(found[0]), text) if ":/" in text else text


def _shown_and_hidden(url: str) -> tuple[str, str]:
    """Return what may be shown of a URL, and what was left out."""
    head = _head(url)
    rest = url[len(head) :]
    at, secret = rest.rfind("@"), _first_secret(rest)
    before, shown = rest[: at + 1], rest[at + 1 :]
    if before and (secret <= at or any(mark in before for mark in "?#")):
        return f"{head}{_LEFT_OUT}", rest  # a password with "?" in it, or a query with "@" in it?
    hidden = rest[secret:]
    shown = shown.removesuffix(hidden) + (_LEFT_OUT if hidden else "")
    return f"{head}{shown}", before + hidden


def _head(text: str) -> str:
    """Return a text up to the end of its first scheme, "" without one."""
    found = _HEAD.match(text) if ":/" in text else None  # most names are short of it at once
    return found[0] if found else ""


def _first_secret(rest: str) -> int:
    """Return where the first key of a secret begins, the length without one."""
    keys = (found for found in _KEY.finditer(rest) if _SECRET.search(unquote(found[1])))
    return next((found.start() for found in keys), len(rest))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)
