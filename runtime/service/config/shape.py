"""Which keys the models have, and where: for suggestions, secrets, tables and origins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from listen_edge.runtime.service.config.base import Model
from listen_edge.runtime.service.config.fields import Place
from listen_edge.runtime.service.config.models import WatchConfig


@dataclass(frozen=True)
class Key:
    """One key of the configuration.

    Attributes:
        path: "sources[].questions[].ask".
        model: of its value, or of its items; None: a single value, or a list of such.
    """

    path: str
    field: FieldInfo
    model: type[Model] | None


def model_of(field: FieldInfo) -> type[Model] | None:
    """Return the model of a field's value or of its items."""
    return next((kind for kind in _kinds(field.annotation) if _is_model(kind)), None)


def is_list(field: FieldInfo) -> bool:
    """Tell whether a field holds a list; K/N is one value."""
    return any(Ellipsis in get_args(kind) for kind in _kinds(field.annotation))


def is_secret(field: FieldInfo) -> bool:
    return SecretStr in _kinds(field.annotation)


def secret_files(model: type[Model]) -> Iterator[tuple[str, str]]:
    """Yield (key, key of the file that may hold it) of a model's secrets."""
    for name, field in model.model_fields.items():
        if is_secret(field):
            yield name, f"{name}_file"


def field_at(place: Place) -> FieldInfo | None:
    """Return the field at a place or, of a list's item, that of the list."""
    model: type[Model] | None = WatchConfig
    field = None
    for part in place:
        if isinstance(part, str):
            field = model.model_fields.get(part) if model else None
            model = model_of(field) if field else None
    return field


def model_at(place: Place) -> type[Model] | None:
    """Return the model whose keys stand at a place."""
    if not place:
        return WatchConfig
    field = field_at(place)
    return model_of(field) if field else None


def maps_in(
    value: Any, place: Place = (), model: type[Model] = WatchConfig
) -> Iterator[tuple[Place, dict[str, Any], type[Model]]]:
    """Yield every map of a read configuration that has a model, itself first."""
    if not isinstance(value, dict):
        return
    yield place, value, model
    for name, field in model.model_fields.items():
        inner, below = model_of(field), value.get(name)
        if inner is None:
            continue
        if isinstance(below, list):
            for k, item in enumerate(below):
                yield from maps_in(item, (*place, name, k), inner)
        else:
            yield from maps_in(below, (*place, name), inner)


def all_keys(model: type[Model] = WatchConfig, path: str = "") -> Iterator[Key]:
    """Yield every key there is, those below a key after it."""
    for name, field in model.model_fields.items():
        inner = model_of(field)
        key = f"{path}{name}{'[]' if is_list(field) else ''}"
        yield Key(key, field, inner)
        if inner is not None:
            yield from all_keys(inner, f"{key}.")


def _kinds(annotation: Any) -> list[Any]:
    """Return an annotation and all that it is made of."""
    return [annotation, *(kind for part in get_args(annotation) for kind in _kinds(part))]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Model)
