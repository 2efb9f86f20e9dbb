"""Embedding matching: features are matched and images moved by momentum steps, all classes in one step (docs/algorithms.md).

The published code takes one step per class over the whole tensor. The network is frozen and its norm has no batch dependence,
so the classes' gradients are independent of each other, and the loop over classes equals one step with the recurrence in
:func:`bacon.distillation.variables.image_step`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.distillation.matching.feature_matching import FeatureMatching
from bacon.distillation.matching.matching_losses import ExtraTerm, MatchingLoss
from bacon.distillation.matching.real_features import Siamese
from bacon.distillation.matching.recorded_step import RecordedStep, worth_recording
from bacon.distillation.pools import DrawnNetwork, NetworkPool
from bacon.distillation.variables import MomentumUpdate, Variable, VariableAlgorithm, Variables
from bacon.runtime.logs import get_logger
from bacon.transforms.dsa import augment_by_numbers, siamese_augment, siamese_draw, siamese_numbers

if TYPE_CHECKING:
    from bacon.settings.distillation import MatchingSettings

log = get_logger(__name__)


class EmbeddingMatching(VariableAlgorithm, FeatureMatching):
    """An algorithm that matches features class by class under DSA; methods derive from it and choose its parts.

    Args:
        settings: the method's.
        context: what it is given.
        loss: matches the features.
        pool: where the embedding networks come from.
        extra: further terms of the loss.
        mixes_images: as for :class:`FeatureMatching`.

    Attributes:
        recordable: whether an iteration's matching may be recorded on a GPU (``recorded_step``): its loss and its further terms
            draw nothing on the host, whatever they read keeps its place and its shape, and they may be given the number of the
            iteration as a tensor.
    """

    settings: MatchingSettings
    recordable: ClassVar[bool] = False

    def __init__(
        self,
        settings: MatchingSettings,
        context: Context,
        *,
        loss: MatchingLoss[Any],
        pool: NetworkPool,
        extra: Sequence[ExtraTerm] = (),
        mixes_images: bool = False,
    ) -> None:
        super().__init__(settings, context, loss=loss, pool=pool, extra=extra, mixes_images=mixes_images)
        turns = self.real.classes if settings.update == "per_class" else 1
        update = MomentumUpdate(settings.lr_img, momentum=settings.momentum, turns=turns)
        self.variables = Variables(
            classes=context.classes, images=Variable(self.initial_images(), update), partition=settings.partition
        )
        self._update, self._records = update, worth_recording(context.device, self.iterations)
        self._recorded: dict[int, RecordedStep] = {}

    def siamese(self, iteration: int, classes: Sequence[int]) -> Siamese:
        """DSA, one draw per iteration and class; on the device where the iteration's number is a tensor there."""
        strategy, seed = self.settings.dsa_strategy, self.context.seed
        number: Any = iteration
        if not isinstance(number, Tensor):
            return partial(siamese_augment, siamese_draw(strategy, seed, iteration, classes))
        if strategy == "none":
            return lambda images: images
        _, height, width = self.real.shape
        places = self.real.index(classes)
        numbers = siamese_numbers(strategy, seed, number, places, height=height, width=width)
        return lambda images: augment_by_numbers(images, numbers.to(images.dtype))

    def state_dict(self) -> dict[str, Any]:
        """Images, momentum and pool."""
        return super().state_dict() | {"pool": self.pool.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, with the same bits as if nothing had happened."""
        super().load_state_dict(state)
        self.pool.load_state_dict(state["pool"])
        self._recorded.clear()  # the images are in another place

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration: match, move the images, let the pool go on."""
        self.pool.begin(iteration)
        drawn = self.pool.draw(iteration)
        self.pool.start(iteration)
        terms = self._replayed(iteration, drawn) if self._may_replay() else self._computed(iteration, drawn)
        self.pool.advance(iteration, self.synthetic)
        return terms

    def _computed(self, iteration: int, drawn: DrawnNetwork) -> dict[str, Tensor]:
        gradient, terms = self.matched(iteration, drawn)
        self.variables.step({"images": gradient})
        return terms

    def _may_replay(self) -> bool:
        """Whether this iteration is recorded or replayed: not the first, which makes all that is made once."""
        if not self._records or not self._update.places():
            return False
        if why := self._not_recordable():
            log.info(
                "an iteration's matching is not recorded as a CUDA graph (%s); its kernels are launched one by one", why
            )
            self._records = False
        return self._records

    def _not_recordable(self) -> str:
        """Why an iteration cannot be recorded; empty if it can."""
        if self.real.is_streamed:
            return "the real images are on the host"
        return "" if self.recordable else f"{type(self).__name__} may draw numbers on the host"

    def _replayed(self, iteration: int, drawn: DrawnNetwork) -> dict[str, Tensor]:
        return self.context.memory.within(
            lambda: self._recorded_step(drawn)(iteration, drawn),
            iteration=iteration,
            device=self.context.device,
            make_room=lambda: self.pool.make_room(iteration),
        )

    def _recorded_step(self, drawn: DrawnNetwork) -> RecordedStep:
        """The recording for the images at a time that memory holds; one of more images is given back."""
        at_once = self.context.memory.chunk_images
        if at_once not in self._recorded:
            self._recorded.clear()
            self._recorded[at_once] = RecordedStep(
                self._move, self.terms, lambda: [self.images, *self._update.places()], like=drawn
            )
        return self._recorded[at_once]

    def _move(self, iteration: Tensor, drawn: DrawnNetwork) -> dict[str, Tensor]:
        """What is recorded: all that an iteration computes before the pool goes on."""
        number: Any = iteration  # whoever is `recordable` takes either
        gradient, terms = self.gradient(number, drawn)
        self.variables.step({"images": gradient})
        return terms
