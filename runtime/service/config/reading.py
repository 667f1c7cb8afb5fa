"""listen.yaml, the environment and files of secrets -> a configuration, or all that is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from listen_edge.errors import one_line
from listen_edge.printable import printable
from listen_edge.runtime.service.config.environment import overridden
from listen_edge.runtime.service.config.fields import Place
from listen_edge.runtime.service.config.files import open_mode, read_secret, read_text, search_paths
from listen_edge.runtime.service.config.models import WatchConfig
from listen_edge.runtime.service.config.places import MAX_BYTES, Blank, Mark, YamlError, read_yaml
from listen_edge.runtime.service.config.problems import ConfigError, Problem, key_path, problems_of
from listen_edge.runtime.service.config.shape import maps_in, secret_files
from listen_edge.urls import without_secrets

T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """A configuration and where its values are from.

    Attributes:
        origins: "listen.yaml:3:5", the name of a variable, or the path of a secret's file, by
            place; a place that is not in it is a default or within one that is.
        warnings: a line each.
    """

    config: WatchConfig
    path: Path
    origins: Mapping[Place, str]
    warnings: tuple[str, ...] = ()

    def lines(self, problems: Iterable[Problem]) -> list[str]:
        """Return problems as lines: where, which key, what was expected."""
        return [f"{where(self.origins, place)}: {_keyed(place, text)}" for place, text in problems]


@dataclass
class _Draft:
    """What was read so far.

    Attributes:
        set_outside: places that the environment has set.
        untold: places of which nothing is told, as the reason has been.
    """

    path: Path
    value: dict[str, Any]
    origins: dict[Place, str] = field(default_factory=dict)
    marks: dict[Place, Mark] = field(default_factory=dict)
    problems: list[tuple[Mark, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    set_outside: set[Place] = field(default_factory=set)
    untold: set[Place] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """Where relative paths begin."""
        return self.path.parent.absolute()

    def tell(self, place: Place, text: str) -> None:
        line = f"{where(self.origins, place)}: {_keyed(place, text)}"
        self.problems.append((where(self.marks, place), line))


def find_config(path: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the path, or of None the first one that there is.

    A configuration runs commands: one that was not named must be the user's own, or root's.

    Raises:
        ConfigError: there is none, or the first is another user's.
    """
    if path is not None:
        return path
    paths = search_paths(environ)
    for found in paths:
        if found.exists():
            if found.stat().st_uid not in (0, os.geteuid()):
                told = f"{printable(found)}: belongs to another user; name it with --config"
                raise ConfigError(found, [told])
            return found
    looked = ", ".join(map(printable, paths))
    raise ConfigError(
        paths[0], [f"no configuration: there is none of {looked}; see listen-edge config init"]
    )


def read_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Reading:
    """Read a configuration.

    Paths in it are relative to its folder.

    Args:
        path: None: the first of search_paths that there is.
        environ: None: the process's.

    Raises:
        ConfigError: there is none, or it cannot be; it tells all that is wrong.
    """
    environ = os.environ if environ is None else environ
    draft = _draft(find_config(path, environ))
    _warn_of_open_secrets(draft)
    origins, problems, warnings = overridden(draft.value, environ)
    draft.origins |= origins
    draft.set_outside |= origins.keys()
    draft.problems += [((0, 0), line) for line in problems]
    draft.warnings += warnings
    _read_secrets(draft)
    try:
        context = {"folder": draft.folder}
        config = WatchConfig.model_validate(draft.value, context=context)
    except ValidationError as err:
        for place, text in problems_of(err):
            if place not in draft.untold:
                draft.tell(place, text)
    if draft.problems:
        raise ConfigError(draft.path, [line for _, line in sorted(draft.problems)])
    return Reading(config, draft.path, draft.origins, tuple(draft.warnings))


def where(origins: Mapping[Place, T], place: Place) -> T:
    """Return where a place is from, or what it stands in."""
    while place not in origins and place:
        place = place[:-1]
    return origins[place]


def _draft(path: Path) -> _Draft:
    name = printable(path)
    try:
        written = read_yaml(read_text(path, MAX_BYTES))
    except YamlError as err:
        line, column = err.mark
        raise ConfigError(path, [f"{name}:{line}:{column}: {err}"]) from err
    except ValueError as err:
        raise ConfigError(path, [f"{name}: {err}"]) from err
    if not isinstance(written.value, dict):
        found = "is empty" if isinstance(written.value, (Blank, type(None))) else "is no map"
        raise ConfigError(path, [f"{name}:1:1: {found}; expected keys such as sources: [...]"])
    origins = {place: _place_in(name, mark) for place, mark in written.marks.items()}
    # An anchor's values stand in several places, and are set in one by the environment.
    draft = _Draft(path, _apart(written.value), origins, written.marks)
    for place, mark in written.twice:
        text = f"stands here twice, see {origins[place]}; leave one out"
        draft.problems.append((mark, f"{_place_in(name, mark)}: {_keyed(place, text)}"))
    return draft


def _warn_of_open_secrets(draft: _Draft) -> None:
    """Warn, in one line, of secrets in a configuration that others can read."""
    keys = [
        ((*place, key), file_key)
        for place, rows, model in maps_in(draft.value)
        for key, file_key in secret_files(model)
        if isinstance(value := rows.get(key), str) and _is_telling((*place, key), value)
    ]
    if not keys or (mode := open_mode(draft.path)) is None:
        return
    names = ", ".join(key_path(place) for place, _ in keys)
    files = " or ".join(dict.fromkeys(file_key for _, file_key in keys))
    draft.warnings.append(
        f"{where(draft.origins, keys[0][0])}: {names}: {mode}: others can read or change it; put "
        f"each secret into a file of its own ({files}), or chmod 600"
    )


def _is_telling(place: Place, secret: str) -> bool:
    """Tell whether it is one: any password, a camera's URL with one, a webhook's with a path."""
    if place[-1] != "url" or without_secrets(secret) != secret:
        return bool(secret)
    return place[0] == "outputs" and "/" in secret.partition("://")[2].rstrip("/")


def _read_secrets(draft: _Draft) -> None:
    """Put the content of secrets' files beside their keys."""
    for place, rows, model in list(maps_in(draft.value)):
        for key, file_key in secret_files(model):
            own, at = (*place, key), (*place, file_key)
            if not isinstance(file := rows.get(file_key), str):
                continue
            is_nearer = {one in draft.set_outside for one in (own, at)} == {True, False}
            if key in rows and not is_nearer:
                draft.tell(at, f"expected {key} or {file_key}, not both")
            elif key not in rows or at in draft.set_outside:
                _read_secret(draft, rows, own, at, draft.folder / file)


def _read_secret(draft: _Draft, rows: dict[str, Any], own: Place, at: Place, path: Path) -> None:
    key = str(own[-1])
    try:
        rows[key], warning = read_secret(path)
    except ValueError as err:
        draft.tell(at, one_line(err))
        draft.untold.add(own)
        rows[key] = ""  # so that it is not missing too
        return
    draft.origins[own] = f"file {printable(path)}"
    if warning:
        draft.warnings.append(f"{where(draft.origins, at)}: {_keyed(at, warning)}")


def _apart(value: Any) -> Any:
    """Return a copy in which nothing stands twice."""
    if isinstance(value, dict):
        return {key: _apart(below) for key, below in value.items()}
    return [_apart(below) for below in value] if isinstance(value, list) else value


def _place_in(name: str, mark: Mark) -> str:
    return f"{name}:{mark[0]}:{mark[1]}"


def _keyed(place: Place, text: str) -> str:
    return f"{key_path(place)}: {text}" if place else text
