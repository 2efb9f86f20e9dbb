"""NCFM's loss, the distance of empirical characteristic functions, and its optimiser (docs/algorithms.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.class_turns import AdamWTurn, MomentumTurn, Turn
from bacon.distillation.matching.calibrated_matching import CalibratedMatching
from bacon.distillation.matching.features import Features
from bacon.distillation.matching.matching_losses import MatchingLoss, RealPiece
from bacon.methods.ncfm.sampling_network import ROWS_REPEATED, SampledFrequencies, SamplingNetwork
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


class CharacteristicMatching(MatchingLoss[Tensor]):
    """``w mean_t sqrt(alpha (|Phi_T| - |Phi_S|)^2 + beta 2 (|Phi_T| |Phi_S| - Re Phi_T conj(Phi_S)))`` of each class.

    Args:
        settings: number of frequencies and weights.
        context: seed, and where it is computed.
    """

    def __init__(self, settings: NCFMSettings, context: Context) -> None:
        self.settings, self._seed = settings, context.seed
        real = context.real
        dimensions = context.build(0).embedding_size
        self._shape = settings.frequencies, dimensions
        self._like: dict[str, Any] = {"device": real.device, "dtype": real.dtype}
        self.sampler: SampledFrequencies | None = None
        if settings.sampling == "network":
            network = SamplingNetwork(dimensions, seed=context.seed, width=settings.sampling_width, **self._like)
            self.sampler = SampledFrequencies(network, settings.frequencies // ROWS_REPEATED)
        self._frequencies = torch.empty(0, **self._like)

    def begin(self, iteration: int) -> None:
        """Draw the frequencies (F, D) of an iteration, the same for all classes."""
        if self.sampler is not None:
            self._frequencies = self.sampler.begin(iteration)
            return
        count, dimensions = self._shape
        drawn = device_normal(
            self._seed, "characteristic-frequencies", count=count * dimensions, iteration=iteration, **self._like
        )
        self._frequencies = drawn.view(count, dimensions)

    def variables(self) -> list[Tensor]:
        """The frequencies, where a network makes them."""
        return [] if self.sampler is None else [self._frequencies]

    def collect(self, gradients: Sequence[Tensor]) -> None:
        """Gradients of the frequencies."""
        if self.sampler is not None:
            self.sampler.collect(gradients[0])

    def end(self) -> None:
        """The sampling network's gradients."""
        if self.sampler is not None:
            self.sampler.end()

    def reduce(self, real: Iterable[RealPiece], classes: int) -> Tensor:
        """(K, B, D) the real embeddings: with a sampling network, what follows from them has a gradient."""
        (piece,) = real
        assert len(piece.features.embedding) == classes
        return piece.features.embedding

    def weights(self) -> dict[str, float]:
        """One term, with the weight of the settings."""
        return {"characteristic": self.settings.weight}

    def terms(self, real: Tensor, synthetic: Features) -> dict[str, Tensor]:
        """``{"characteristic": (K,)}``."""
        there, here = (characteristic(each, self._frequencies) for each in (real, synthetic.embedding))
        alpha, beta = self.settings.amplitude_weight, self.settings.phase_weight
        return {"characteristic": distance(there, here, alpha=alpha, beta=beta)}


def distance(one: Characteristic, other: Characteristic, *, alpha: float, beta: float) -> Tensor:
    """Distance of characteristic functions, a mean over the frequencies: (K,) float."""
    amplitude, own = one.amplitude(), other.amplitude()
    phase = 2 * (amplitude * own - one.real * other.real - one.imaginary * other.imaginary)
    squares = alpha * (amplitude - own).square() + beta * phase.clamp(min=_LEAST)
    return squares.clamp(min=_LEAST**2).sqrt().mean(dim=1)


class NCFM(CalibratedMatching):
    """Characteristic function matching with calibration; the learning rate is halved when the loss no longer falls."""

    settings: NCFMSettings
    loss: CharacteristicMatching
    recordable: ClassVar[bool] = True

    def __init__(self, settings: NCFMSettings, context: Context) -> None:
        super().__init__(settings, context, loss=CharacteristicMatching(settings, context))
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
        """A round of matching and one of calibration; then the schedule reads both losses, which waits for the device."""
        terms = super().step(iteration)
        if self.loss.sampler is not None:
            self.loss.sampler.ascend()
        total = terms["loss"]
        if "calibration" in terms:
            total = total + self.settings.calibration_weight * terms["calibration"]
        self._schedule.step(float(total))
        self.turn.rate = float(self._schedule.optimizer.param_groups[0]["lr"])
        return terms

    def state_dict(self) -> dict[str, Any]:
        """Pixels, optimiser, schedule and sampling network."""
        schedule = {
            name: value for name, value in self._schedule.state_dict().items() if isinstance(value, int | float)
        }
        sampler = {} if self.loss.sampler is None else self.loss.sampler.network.state_dict()
        return super().state_dict() | {"schedule": schedule, "sampler": sampler}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken."""
        super().load_state_dict(state)
        self._schedule.load_state_dict(state["schedule"])
        if self.loss.sampler is not None:
            self.loss.sampler.network.load_state_dict(state["sampler"])
        self._schedule.optimizer.param_groups[0]["lr"] = self.turn.rate
