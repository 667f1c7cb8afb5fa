"""A configuration as YAML with every default, and where each value comes from. No secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import SecretStr

from listen_edge.event_settings import EventSettings
from listen_edge.runtime.service.config.asked import asked_of
from listen_edge.runtime.service.config.base import Model
from listen_edge.runtime.service.config.fields import Place, id_of, shown_url
from listen_edge.runtime.service.config.listening import QuestionConfig, SourceConfig
from listen_edge.runtime.service.config.reading import Reading, where
from listen_edge.runtime.service.config.telling import CommandConfig
from listen_edge.urls import sounds_secret, with_urls

HIDDEN = "***"
_PLAIN = re.compile(r"[A-Za-z0-9./][\w./-]*")
_NAMED = re.compile(  # key=..., "key": ..., or among the words of a shell's: --key ...
    r"""(?<![\w.-])([\w.-]+)["']?\s*[=:]\s*["']?|(?<!\S)--?(\w[\w-]*)\s+(?=\S)"""
)
_SHORT = re.compile(r"-[pPuU](?=.)")  # -pPASSWORD, of mysql and others
_NULLS = {"null", "Null", "NULL"}


def shown(reading: Reading, settings: EventSettings | None) -> Iterator[str]:
    """Yield the lines of a configuration: YAML, each value with its origin as a comment.

    Args:
        settings: the bundle's, of events; None: it has none.
    """
    yield from _model(reading, reading.config, ())
    yield ""
    yield "# What is asked, with the thresholds of its events:"
    for one in asked_of(reading.config):
        thresholds = one.thresholds(settings)
        is_preset = one.place[0] == "presets"
        origin = f"preset {one.place[1]}" if is_preset else where(reading.origins, one.place)
        yield (
            f"#   {one.source}  {one.id}  {_text(one.ask)}  on {thresholds.on:g}  "
            f"off {thresholds.off:g}  {one.priority}  ({origin})"
        )


def _model(reading: Reading, model: Model, place: Place) -> Iterator[str]:
    for key in type(model).model_fields:
        value, below = getattr(model, key), (*place, key)
        if isinstance(value, Model):
            yield f"{key}:"
            yield from (f"  {line}" for line in _model(reading, value, below))
        elif isinstance(value, tuple) and value and isinstance(value[0], Model):
            yield f"{key}:"
            for k, item in enumerate(value):
                first, *others = _model(reading, item, (*below, k))
                yield f"  - {first}"
                yield from (f"    {line}" for line in others)
        else:
            yield f"{key}: {_single(model, key)}  # {_origin(reading, model, below)}"


def _single(model: Model, key: str) -> str:
    value = getattr(model, key)
    if isinstance(model, CommandConfig) and key == "run":
        return f"[{', '.join(map(_text, without_secret_words(value)))}]"
    if isinstance(value, SecretStr):
        return _text(shown_url(value.get_secret_value()) if key == "url" else HIDDEN)
    plain = model.model_dump(mode="json", include={key})[key]
    return f"[{', '.join(map(_text, plain))}]" if isinstance(plain, list) else _text(plain)


def without_secret_words(words: Sequence[str]) -> Iterator[str]:
    """Yield a program and its arguments without what follows the name of a secret.

    `--token`, `abc`; `-p`, `abc`; `-pabc`; `--token=abc`; `TOKEN=abc`; `X-Api-Key: abc`; in the
    middle of a word too; and of a URL all but its host. Rather too much is hidden than too little.
    """
    is_named = False  # by the word before
    for word in words:
        yield HIDDEN if is_named else _cut(with_urls(word, shown_url))
        is_named = word.startswith("-") and "=" not in word and sounds_secret(word.lstrip("-"))


def _cut(word: str) -> str:
    """Return a word up to the first secret that it names."""
    named = (found for found in _NAMED.finditer(word) if sounds_secret(found[1] or found[2]))
    found = next(named, None) or _SHORT.match(word)
    return word if found is None else f"{word[: found.end()]}{HIDDEN}"


def _text(value: Any) -> str:
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:g}"
    if _PLAIN.fullmatch(value) and value not in _NULLS:
        return str(value)
    return json.dumps(value, ensure_ascii=not value.isprintable())


def _origin(reading: Reading, model: Model, place: Place) -> str:
    key = str(place[-1])
    if key not in model.model_fields_set:
        return "default"
    if place in reading.origins:
        return reading.origins[place]
    if isinstance(model, QuestionConfig) and key == "id" and model.id == id_of(model.concept):
        return "made of ask"
    if isinstance(model, SourceConfig) and key in ("id", "name"):
        return f"made of {'name' if key == 'id' else 'id'}"
    return where(reading.origins, place)  # within what an anchor repeats
