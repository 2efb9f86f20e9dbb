"""Membership inference: settings. No torch."""

from __future__ import annotations

from pydantic import Field, field_validator

from bacon.settings.base import Strict


class MembershipSettings(Strict):
    """Attacks that ask whether an image is one of those that the set was distilled from."""

    networks: int = Field(5, ge=1, le=1000, description="Networks trained on the set, each attacked by itself.")
    images: int = Field(
        2000,
        ge=2,
        description="Members (training images) and as many others (test images) that attacks are tried on, at the most.",
    )
    shadows: int = Field(
        8,
        ge=0,
        le=1000,
        description="Shadow networks of the attack lira, 2 or more, each trained on as many other real images as the set has; "
        "0: without this attack.",
    )

    @field_validator("shadows")
    @classmethod
    def _some_or_none(cls, value: int) -> int:
        if value == 1:
            raise ValueError("one shadow network has no spread: set 2 or more, or 0 to leave out the attack lira")
        return value
