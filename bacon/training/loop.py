"""The one training loop: it trains a network by a recipe, for evaluation as for whole-set training, teachers and experts.

A CPU trains one network after another: five at once with grouped convolutions gain only on very small sets, and each network's
bits would depend on how many share the job; with one network a core no core is idle at the end. A GPU trains several side by
side on streams of their own (``bacon.runtime.streams``), which changes no bit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bacon.networks.network import Network
from bacon.runtime.draws import Seed
from bacon.runtime.errors import BaconError
from bacon.training.batches import IMAGES_AT_ONCE, Batch, Batches, check_soft_labels
from bacon.training.image_set import ImageSet
from bacon.training.optimisers import make_optimiser
from bacon.training.predictions import Teacher
from bacon.training.recipe_loss import loss_of
from bacon.training.schedules import forgets_momentum, rate
from bacon.training.steps import training_step, worth_recording

if TYPE_CHECKING:
    from bacon.settings.recipe import TrainingRecipe


class DivergedError(BaconError):
    """The loss of a network is not finite after training."""


class Training:
    """A network in training; a pure function of its arguments on one machine, and it resumes to the bit.

    Args:
        model: trained in place; its classifier's outputs are the classes.
        train: the training images.
        recipe: how.
        seed: seed, or tuple of seeds, of order, augmentation and mixing.
        purpose: first part of the names of the streams of random numbers.
        teacher: labels each augmented and mixed batch, where the recipe's labels come from a teacher; see
            ``bacon.training.predictions.ensemble``.
        every_epoch: measure loss and accuracy of every epoch, and which images were classified correctly, not only of
            the last epoch.
        images_at_once: bounds memory; changes no draw, and results by rounding at the most.

    Attributes:
        epoch: epochs finished.
        step: steps taken.
        totals: (2,) float64 on the device, sum of losses and number of correct images over the last epoch that was measured.
        seen: images of that epoch.
        correct: (N,) bool on the device, whether each image was classified correctly in its own batch of that epoch, before
            the batch's step (Toneva et al., 2019); images of an epoch cut short that were not seen are False.

    Raises:
        BaconError: the recipe wants a teacher and there is none, or soft labels do not fit the network.
    """

    def __init__(
        self,
        model: Network,
        train: ImageSet,
        recipe: TrainingRecipe,
        seed: Seed,
        *,
        purpose: str = "training",
        teacher: Teacher | None = None,
        every_epoch: bool = False,
        images_at_once: int = IMAGES_AT_ONCE,
    ) -> None:
        classes = model.classifier.out_features
        check_soft_labels(train, recipe, classes)
        if recipe.labels == "teacher" and teacher is None:
            raise BaconError("the recipe's labels come from a teacher (labels: teacher), but none is given")
        self.model, self.train, self.recipe, self.teacher = model.train(), train, recipe, teacher
        self.epoch = self.step = 0
        self.epochs, self.steps = recipe.total_epochs(len(train)), recipe.total_steps(len(train))
        self.correct = torch.zeros(len(train), dtype=torch.bool, device=train.device)
        self.seen = 0
        self._per_epoch = recipe.steps_per_epoch(len(train))
        self._every_epoch = every_epoch
        self._remaining: Iterator[Batch] | None = None
        self._batches = Batches(train, recipe, seed, classes, purpose=purpose, images_at_once=images_at_once)
        self._step = training_step(
            model,
            make_optimiser(recipe.optimiser, model.parameters(), self._rate(0)),
            record=worth_recording(train.device, self.steps),
            loss=loss_of(recipe, "logits" if recipe.labels == "teacher" else train.soft_kind),
            clip_norm=recipe.clip_norm,
            sharpness=recipe.sharpness,
        )
        self._average = None if recipe.ema is None else [each.detach().clone() for each in model.parameters()]

    @property
    def totals(self) -> Tensor:
        """See the class."""
        return self._step.totals

    def run(self, on_epoch: Callable[[Training], None] = lambda _: None) -> None:
        """Train to the end; ``on_epoch`` is called after every epoch, with this training.

        In the end the model holds the averaged weights where the recipe averages them.
        """
        while not self.is_finished:
            for _ in self.next_epoch():
                pass
            on_epoch(self)
        self.finish()

    @property
    def is_finished(self) -> bool:
        """Whether every epoch is done."""
        return self.epoch >= self.epochs

    def next_epoch(self) -> Iterator[None]:
        """Train one more epoch, a step from one item to the next, for callers who train several networks at once."""
        if self._remaining is None:
            self._remaining = self._batches.from_epoch(self.epoch)
        yield from self._one_epoch(islice(self._remaining, min(self._per_epoch, self.steps - self.step)))
        self.epoch += 1

    def finish(self) -> None:
        """Put the averaged weights into the model, where the recipe averages them; nothing is trained after it."""
        if self._average is not None:
            with torch.no_grad():
                torch._foreach_copy_(list(self.model.parameters()), self._average)

    def weights(self) -> dict[str, Tensor]:
        """The result if training ended now: parameters (averaged where the recipe averages them) and buffers, copied."""
        state = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        if self._average is not None:
            names = [name for name, _ in self.model.named_parameters()]
            state |= {name: kept.clone() for name, kept in zip(names, self._average, strict=True)}
        return state

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs, between epochs (in ``on_epoch``); a copy that further training leaves unchanged."""
        return copy.deepcopy(
            {
                "epoch": self.epoch,
                "step": self.step,
                "model": dict(self.model.state_dict()),
                "optimiser": self._step.optimiser.state_dict(),
                "average": self._average,
                "totals": self.totals,
                "correct": self.correct,
                "seen": self.seen,
            }
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict` of a training of the same arguments, bit for bit; ``state`` is not used up."""
        self.epoch, self.step, self.seen = state["epoch"], state["step"], state["seen"]
        self._remaining = None
        self.model.load_state_dict(state["model"])
        optimiser = self._step.optimiser
        optimiser.load_state_dict(state["optimiser"])
        self._step.use(optimiser, optimiser.lr)
        self._average = None if state["average"] is None else [kept.clone() for kept in state["average"]]
        self.totals.copy_(state["totals"])
        self.correct = state["correct"].clone()

    def _one_epoch(self, batches: Iterable[Batch]) -> Iterator[None]:
        measured = self._every_epoch or self.epoch == self.epochs - 1
        if measured:
            self._step.count()
            self.seen, self.correct = 0, torch.zeros_like(self.correct)
        if self.recipe.epochs is not None:
            self._begin(self.epoch)
        for batch in batches:
            if self.recipe.epochs is None:
                self._begin(self.step)
            self._one_step(batch)
            if measured:
                self.seen += len(batch.labels)
                self.correct.index_copy_(0, batch.places, self._step.correct)
            self.step += 1
            del batch  # the last of a group holds all of it while the next group is made
            yield

    def _one_step(self, batch: Batch) -> None:
        soft = batch.soft
        if self.recipe.labels == "teacher" and self.teacher is not None:
            with torch.no_grad():
                soft = self.teacher(batch.images)
        self._step(batch.images, batch.labels, batch.mixed, soft)
        if self._average is not None and self.recipe.ema is not None:
            weights = [parameter.detach() for parameter in self._step.optimiser.parameters]
            torch._foreach_lerp_(self._average, weights, 1 - self.recipe.ema)

    def _begin(self, unit: int) -> None:
        """The learning rate of an epoch, or of a step where the recipe counts steps."""
        optimiser, lr = self._step.optimiser, self._rate(unit)
        if forgets_momentum(self.recipe.schedule, unit, self._units):
            self._step.use(make_optimiser(self.recipe.optimiser, self.model.parameters(), lr), lr)
        elif lr != optimiser.lr:
            self._step.use(optimiser, lr)

    @property
    def _units(self) -> int:
        return self.steps if self.recipe.epochs is None else self.epochs

    def _rate(self, unit: int) -> float:
        rates = self.recipe.rates
        if rates:
            return rates[unit % len(rates)]
        return rate(self.recipe.schedule, self.recipe.optimiser.lr, unit, self._units)


def train_network(
    model: Network,
    train: ImageSet,
    recipe: TrainingRecipe,
    seed: Seed,
    *,
    purpose: str = "training",
    teacher: Teacher | None = None,
    every_epoch: bool = False,
    on_epoch: Callable[[Training], None] = lambda _: None,
    state: Mapping[str, Any] | None = None,
    images_at_once: int = IMAGES_AT_ONCE,
) -> Training:
    """Train ``model`` in place by ``recipe``; arguments as :class:`Training`, which is returned finished.

    Args:
        model: the network.
        train: the training images.
        recipe: how.
        seed: of order, augmentation and mixing.
        purpose: first part of the names of the streams of random numbers.
        teacher: labels each batch where the recipe says so.
        every_epoch: measure every epoch, not only the last.
        on_epoch: called after every epoch with the training, for snapshots (``weights()``), sample history (``correct``) and
            checkpoints (``state_dict()``).
        state: a checkpoint to go on from.
        images_at_once: bounds memory.
    """
    training = Training(
        model,
        train,
        recipe,
        seed,
        purpose=purpose,
        teacher=teacher,
        every_epoch=every_epoch,
        images_at_once=images_at_once,
    )
    if state is not None:
        training.load_state_dict(state)
    training.run(on_epoch)
    return training
