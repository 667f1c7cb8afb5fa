"""What every model of listen.yaml is: frozen, without keys that are not its own."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, model_validator

from listen_edge.runtime.service.config.fields import Place, ProblemsError


class Model(BaseModel):
    """The base of all: frozen, unknown keys refused, values never shown by pydantic's errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Model:
        if problems := list(self.problems()):
            raise ProblemsError(problems)
        return self

    def problems(self) -> list[tuple[Place, str]]:
        """Return what does not go together, each with its place below this model."""
        return []


def twice_named(key: str, ids: Sequence[str]) -> list[tuple[Place, str]]:
    """Return the ids that one before them has, in the list at `key`."""
    return [
        ((key, k, "id"), f'"{name}" is the id of another; give each its own')
        for k, name in enumerate(ids)
        if name and name in ids[:k]
    ]
