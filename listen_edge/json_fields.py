"""JSON from outside, read within bounds, and held against the types of a dataclass's fields."""

from __future__ import annotations

import json
import types
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

_MAX_WHOLE = 1 << 63


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: not JSON, nested too deeply, or a number that is not finite or not of 64 bits.
    """
    try:
        return json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=_refuse_constant
        )
    except RecursionError as err:
        raise ValueError("it is nested too deeply") from err


def malformed_fields(instance: Any) -> list[str]:
    """Return the names of those fields of a dataclass whose values are not of their type.

    Known are the types that JSON has, unions, literals, tuples and other dataclasses. A whole
    number is a float too; a truth value is no number.
    """
    hints = get_type_hints(type(instance))
    names = [field.name for field in fields(instance)]
    return [name for name in names if not _fits(getattr(instance, name), hints[name])]


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin is tuple and isinstance(value, tuple):
        hints = arguments if arguments[-1] is not ... else arguments[:1] * len(value)
        return len(value) == len(hints) and all(map(_fits, value, hints))
    if isinstance(hint, type) and is_dataclass(hint):
        return isinstance(value, hint) and not malformed_fields(value)
    if hint in (int, float):
        kinds = (int,) if hint is int else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and isfinite(value)
    return isinstance(value, origin or hint)


def _whole(digits: str) -> int:
    value = int(digits)
    if not -_MAX_WHOLE <= value < _MAX_WHOLE:
        raise ValueError("a number has more than 64 bits")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise ValueError("a number is too large")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
