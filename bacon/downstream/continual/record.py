"""Class-incremental learning: settings. No torch."""

from __future__ import annotations

from pydantic import Field

from bacon.settings.base import Strict


class ContinualSettings(Strict):
    """Class-incremental learning from the distilled images as memory (DM; Zhao and Bilen, WACV 2023)."""

    steps: int = Field(
        5, ge=1, le=1000, description="Steps in which the classes arrive, as many in each (CIFAR-100: 5 or 10)."
    )
    orders: int = Field(5, ge=1, le=100, description="Orders in which they arrive, the same for every cell.")
    networks: int = Field(3, ge=1, le=100, description="Networks trained from scratch at each step of each order.")
