"""NCFM's loss, the distance of empirical characteristic functions, and its optimiser (docs/algorithms.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.class_turns import AdamWTurn, MomentumTurn, Turn
from bacon.distillation.matching.calibrated_matching import CalibratedMatching
from bacon.distillation.matching.features import Features
from bacon.distillation.matching.matching_losses import MatchingLoss, RealPiece
from bacon.runtime.draws import device_normal

if TYPE_CHECKING:
    from bacon.methods.ncfm.record import NCFMSettings

_LEAST = 1e-12  # of the phase term (published code), whose root has no gradient at 0
_FACTOR = 0.5  # of the learning rate, when the loss no longer falls


@dataclass(frozen=True, kw_only=True)
class Characteristic:
    """An empirical characteristic function, ``mean_i exp(i t.f_i)``, at F frequencies.

    Attributes:
        real: (K, F) float, mean cosine.
        imaginary: (K, F) float, mean sine.
    """

    real: Tensor
    imaginary: Tensor

    def amplitude(self) -> Tensor:
        """(K, F) float, with a finite gradient where it is 0."""
        tiny = torch.finfo(self.real.dtype).tiny
        return (self.real.square() + self.imaginary.square() + tiny).sqrt()


def characteristic(embedding: Tensor, frequencies: Tensor) -> Characteristic:
    """The empirical characteristic function of embeddings (K, n, D) of unit norm at ``frequencies`` (F, D)."""
    phase = F.normalize(embedding, dim=-1) @ frequencies.T  # (K, n, F)
    return Characteristic(real=phase.cos().mean(dim=1), imaginary=phase.sin().mean(dim=1))


class CharacteristicMatching(MatchingLoss[Characteristic]):
    """``w mean_t sqrt(alpha (|a_T - a_S|)^2 + beta (2 (a_T a_S - Re_T Re_S - Im_T Im_S)))`` of each class.

    Args:
        settings: number of frequencies and weights.
        seed: distillation seed, of the frequencies.
    """

    def __init__(self, settings: NCFMSettings, *, seed: int) -> None:
        self.settings, self._seed, self._iteration = settings, seed, 0
        self._drawn: tuple[int, Tensor] | None = None

    def begin(self, iteration: int) -> None:
        """The iteration of the frequencies."""
        self._iteration = iteration

    def frequencies(self, like: Tensor) -> Tensor:
        """(F, D) ~ N(0, 1) of this iteration for embeddings (..., D), the same for all classes."""
        if self._drawn is None or self._drawn[0] != self._iteration:
            shape = (self.settings.frequencies, like.shape[-1])
            drawn = device_normal(
                self._seed,
                "characteristic-frequencies",
                count=shape[0] * shape[1],
                device=like.device,
                dtype=like.dtype,
                iteration=self._iteration,
            )
            self._drawn = self._iteration, drawn.view(shape)
        return self._drawn[1]

    def reduce(self, real: Iterable[RealPiece], classes: int) -> Characteristic:
        """Characteristic functions of the real embeddings."""
        (piece,) = real
        embedding = piece.features.embedding
        assert len(embedding) == classes
        return characteristic(embedding, self.frequencies(embedding))

    def weights(self) -> dict[str, float]:
        """One term, with the weight of the settings."""
        return {"characteristic": self.settings.weight}

    def terms(self, real: Characteristic, synthetic: Features) -> dict[str, Tensor]:
        """``{"characteristic": (K,)}``."""
        own = characteristic(synthetic.embedding, self.frequencies(synthetic.embedding))
        alpha, beta = self.settings.amplitude_weight, self.settings.phase_weight
        return {"characteristic": distance(real, own, alpha=alpha, beta=beta)}


def distance(one: Characteristic, other: Characteristic, *, alpha: float, beta: float) -> Tensor:
    """Distance of characteristic functions, a mean over the frequencies: (K,) float."""
    amplitude, own = one.amplitude(), other.amplitude()
    phase = 2 * (amplitude * own - one.real * other.real - one.imaginary * other.imaginary)
    squares = alpha * (amplitude - own).square() + beta * phase.clamp(min=_LEAST)
    return squares.clamp(min=_LEAST**2).sqrt().mean(dim=1)


class NCFM(CalibratedMatching):
    """Characteristic function matching with calibration; the learning rate is halved when the loss no longer falls."""

    settings: NCFMSettings

    def __init__(self, settings: NCFMSettings, context: Context) -> None:
        super().__init__(settings, context, loss=CharacteristicMatching(settings, seed=context.seed))
        # PyTorch's schedule, of an optimiser that holds nothing but the learning rate.
        holder = torch.optim.SGD([torch.zeros(1)], lr=settings.lr_img)
        self._schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(holder, factor=_FACTOR, patience=settings.patience)

    def make_turn(self, pixels: Tensor) -> Turn:
        """AdamW or SGD."""
        settings = self.settings
        if settings.optimiser == "sgd":
            return MomentumTurn(pixels, rate=settings.lr_img, momentum=settings.momentum)
        return AdamWTurn(pixels, rate=settings.lr_img, weight_decay=settings.weight_decay)

    def step(self, iteration: int) -> dict[str, Tensor]:
        """A round of matching and one of calibration; then the schedule reads the loss, which waits for the device."""
        terms = super().step(iteration)
        self._schedule.step(float(terms["loss"]))
        self.turn.rate = float(self._schedule.optimizer.param_groups[0]["lr"])
        return terms

    def state_dict(self) -> dict[str, Any]:
        """Pixels, optimiser and schedule."""
        schedule = {
            name: value for name, value in self._schedule.state_dict().items() if isinstance(value, int | float)
        }
        return super().state_dict() | {"schedule": schedule}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken."""
        super().load_state_dict(state)
        self._schedule.load_state_dict(state["schedule"])
        self._schedule.optimizer.param_groups[0]["lr"] = self.turn.rate
