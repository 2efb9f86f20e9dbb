"""DATM: trajectory matching with learned soft labels, in a window of epochs that grows, without updates of large distances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.algorithm import Context
from bacon.distillation.trajectory_matching import TrajectoryMatching
from bacon.distillation.variables import MomentumUpdate, Variable, Variables
from bacon.methods.datm.start import ExpertPredictions, initial_labels, initial_places
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.methods.datm.record import DATMSettings

_SKIPPED_AT_MOST = 100  # updates in the beginning of which one at least is applied


class DATM(TrajectoryMatching):
    """Images, logits of soft labels, and the student's rate."""

    terms = ("distance", "rate", "applied")

    def __init__(self, settings: DATMSettings, context: Context) -> None:
        self.own = settings
        self._applied = torch.zeros((), device=context.device)  # updates, in all and of the last iteration
        self._last = torch.zeros((), device=context.device)
        self._done = 0
        super().__init__(settings, context)

    def initial_variables(self) -> Variables:
        """Real images, the experts' mean logits of them, and the rate."""
        predictions = ExpertPredictions(self.experts.runs, self.context)
        places = initial_places(self.own.init, self.context, predictions)
        images = self.context.real.batch(places)
        logits = initial_labels(self.own.init, self.context, predictions, images)
        learned = MomentumUpdate(self.own.lr_label, momentum=self.own.momentum_label) if self.own.lr_label else None
        return Variables(
            classes=self.context.classes,
            images=self.image_variable(images),
            labels=Variable(logits, learned),
            label_kind="logits",
            rates=self.rate_variable(),
        )

    def labels(self, leaves: dict[str, Tensor]) -> Tensor:
        """(M, K) probabilities of the logits."""
        assert self.variables.labels is not None, "the labels are always there"
        return leaves.get("labels", self.variables.labels.values).softmax(dim=1)

    def start_epochs(self, iteration: int) -> tuple[int, int]:
        """[T-, U) with U from ``current_max_start_epoch`` to T+, evenly until ``expansion_end``."""
        settings = self.own
        end = settings.max_start_epoch
        if settings.current_max_start_epoch is not None:
            first = settings.current_max_start_epoch
            end = min(end, first + (end - first) * iteration // settings.expansion_end)
        return settings.min_start_epoch, end

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration; ``applied`` is 1 where it changed something."""
        found = super().step(iteration)
        self._done = iteration + 1
        return found | {"applied": self._last}

    def move(self, gradients: dict[str, Tensor], distance: Tensor) -> None:
        """Move the variables where the distance is at most the threshold; else neither they nor their momentum change."""
        if self.own.threshold is None:
            self._last = torch.ones_like(self._last)
            self.variables.step(gradients)
        else:
            applied = distance <= self.own.threshold
            self._last = applied.to(self._last.dtype)
            self.variables.step(gradients, where=applied)
        self._applied = self._applied + self._last

    def synthetic(self) -> SyntheticSet:
        """The images with their classes, logits and the learned rate.

        Raises:
            BaconError: the threshold has skipped every update so far, and there were many.
        """
        if self._done >= min(_SKIPPED_AT_MOST, self.iterations) > 0 and not bool(self._applied):
            raise BaconError(
                f"{self.context.cell}: all {self._done} updates were skipped, for their distance is above "
                f"distillation.threshold ({self.own.threshold}); raise it (null: none), or lower distillation.lr_student"
            )
        return super().synthetic()

    def state_dict(self) -> dict[str, Any]:
        """Variables with their momentum, and how many updates were applied."""
        return super().state_dict() | {"applied": self._applied, "done": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken."""
        super().load_state_dict(state)
        self._applied, self._done = state["applied"], state["done"]
