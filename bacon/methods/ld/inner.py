"""Which form of label distillation the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.distillation.algorithm import Context
from bacon.methods.ld.algorithm import LD
from bacon.methods.ld.ridge import RidgeLD

if TYPE_CHECKING:
    from bacon.methods.ld.record import LDSettings


def label_distillation(settings: LDSettings, context: Context) -> LD:
    """LD through a step of gradient descent, or by ridge regression (``settings.inner``)."""
    return RidgeLD(settings, context) if settings.inner == "ridge_regression" else LD(settings, context)
