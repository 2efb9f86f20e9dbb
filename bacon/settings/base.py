"""What every settings model is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of every settings model: unknown keys are errors, instances are immutable, defaults are validated."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, populate_by_name=True
    )
