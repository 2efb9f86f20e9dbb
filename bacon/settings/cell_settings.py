"""Everything that one cell is computed from, after layering: the result of `bacon.config.layering`."""

from __future__ import annotations

from pydantic import Field, SerializeAsAny

from bacon.settings.base import Strict
from bacon.settings.distillation import DistillationSettings
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.settings.preprocessing import PreprocessingSettings


class CellSettings(Strict):
    """Everything a cell's numbers depend on besides its data: the result of layering."""

    preprocessing: PreprocessingSettings = Field(default_factory=PreprocessingSettings)
    network: NetworkSettings = Field(default_factory=NetworkSettings)
    distillation: SerializeAsAny[DistillationSettings] | None
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
