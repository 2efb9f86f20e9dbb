"""What a distillation optimises, each with its optimiser: images, soft labels, learning rates, and what a method adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from bacon.artifacts.synthetic_set import SoftKind, SyntheticSet
from bacon.distillation.recorded_steps import RecordedSteps
from bacon.runtime.errors import BaconError
from bacon.training.adam import Adam


def image_step(
    images: Tensor, momentum_buffer: Tensor, gradient: Tensor, *, rate: float, momentum: float, turns: int = 1
) -> None:
    """One momentum step of the images, in place, or the published loop over classes in one.

    One turn is SGD with momentum m: b <- m b + g, x <- x - lr b. The published loop takes one step over the whole tensor for
    each of C classes; seen from one turn of a class to its next: at its turn b <- m b + g and x <- x - lr b, and at each of
    the other C - 1 turns b <- m b and x <- x - lr b. With b the buffer at the turn: b <- m^C b + g,
    x <- x - lr b (1 - m^C) / (1 - m).

    Args:
        images: (M, C, H, W) float.
        momentum_buffer: like the images.
        gradient: like the images; of each class's images at its own turn.
        rate: learning rate lr.
        momentum: m.
        turns: 1, or the number of classes that take turns.
    """
    decay = momentum**turns
    momentum_buffer.mul_(decay).add_(gradient)
    images.sub_(momentum_buffer, alpha=rate * (1 - decay) / (1 - momentum))


class Update(Protocol):
    """An optimiser of one tensor.

    Attributes:
        rate: learning rate; a method with a schedule sets it as a function of the iteration.
    """

    rate: float

    def step(self, values: Tensor, gradient: Tensor) -> None:
        """Move ``values`` in place against ``gradient``, of the same shape."""

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on, but for the values: tensors and numbers."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the tensors of :meth:`state_dict`."""


class RecordableUpdate(Update, Protocol):
    """An optimiser whose steps can be recorded, while its learning rate changes.

    Attributes:
        rate_place: where a recorded step reads the learning rate: 0-d on the device; ``None``: it is ``rate``.
    """

    rate_place: Tensor | None

    def places(self, values: Tensor) -> list[Tensor]:
        """What a step of ``values`` moves besides them, in place; made where there has been no step."""


class MomentumUpdate:
    """SGD with momentum: b <- m b + g, x <- x - lr b, with b = 0 in the beginning.

    Args:
        rate: learning rate lr.
        momentum: m, in [0, 1).
        turns: number of classes that take turns in the published loop over classes, as one exact step
            (:func:`image_step`), which holds where a class's gradient does not depend on the images of the others.
    """

    def __init__(self, rate: float, *, momentum: float = 0.0, turns: int = 1) -> None:
        self.rate, self._momentum, self._turns = rate, momentum, turns
        self._buffer: Tensor | None = None

    @torch.no_grad()
    def step(self, values: Tensor, gradient: Tensor) -> None:
        """One step, in place."""
        if self._buffer is None:
            self._buffer = torch.zeros_like(values)
        image_step(values, self._buffer, gradient, rate=self.rate, momentum=self._momentum, turns=self._turns)

    def places(self) -> list[Tensor]:
        """What a step moves besides the values, in place: the momentum; nothing before the first step, which makes it."""
        return [] if self._buffer is None else [self._buffer]

    @torch.no_grad()
    def step_where(self, where: Tensor, values: Tensor, gradient: Tensor) -> None:
        """One step where () bool is true; else values and momentum stay, whatever the gradient is."""
        buffer = torch.zeros_like(values) if self._buffer is None else self._buffer
        before = values.clone(), buffer.clone()
        self._buffer = buffer
        self.step(values, gradient)
        values.copy_(torch.where(where, values, before[0]))
        buffer.copy_(torch.where(where, buffer, before[1]))

    def state_dict(self) -> dict[str, Any]:
        """The momentum, ``None`` before the first step."""
        return {"momentum": self._buffer}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the momentum."""
        self._buffer = state["momentum"]


class AdamUpdate:
    """Adam (Kingma and Ba, 2015), the update of ``torch.optim.Adam``.

    Args:
        rate: learning rate.
        betas: decay of the means of gradients and of squared gradients.
        epsilon: added to the root of the mean squared gradient.
    """

    def __init__(self, rate: float, *, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> None:
        self.rate, self._betas, self._epsilon = rate, betas, epsilon
        self.rate_place: Tensor | None = None
        self._adam: Adam | None = None
        self._kept: Mapping[str, Any] | None = None

    @torch.no_grad()
    def step(self, values: Tensor, gradient: Tensor) -> None:
        """One step, in place."""
        adam = self._of(values)
        adam.parameters, adam.lr, adam.rate_place = [values], self.rate, self.rate_place
        adam.step([gradient])

    def places(self, values: Tensor) -> list[Tensor]:
        """Both means, and the number of steps."""
        return self._of(values).places()

    def forget(self) -> None:
        """Begin anew; what :meth:`places` gave keeps its places."""
        if self._adam is None:
            self._kept = None
        else:
            self._adam.forget()

    def _of(self, values: Tensor) -> Adam:
        if self._adam is None:
            self._adam = Adam(
                [values], lr=self.rate, betas=self._betas, epsilon=self._epsilon, weight_decay=0.0, decoupled=False
            )
            if self._kept is not None:
                self._adam.load_state_dict(self._kept)
        return self._adam

    def state_dict(self) -> dict[str, Any]:
        """Both means and the number of steps; nothing before the first."""
        return {"adam": self._kept if self._adam is None else self._adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what :meth:`state_dict` gave."""
        self._adam, self._kept = None, state["adam"]


class Variable:
    """A tensor that a distillation moves.

    Args:
        values: float, on the device; moved in place.
        update: its optimiser; ``None``: it stays as it is (label distillation's images).
        minimum: values below it are set to it after every step; ``None``: no bound.
    """

    def __init__(self, values: Tensor, update: Update | None, *, minimum: float | None = None) -> None:
        self.values, self.update, self.minimum = values, update, minimum

    def step(self, gradient: Tensor, where: Tensor | None = None) -> None:
        """Move the values against ``gradient``, of the same shape; ``where`` as in :meth:`Variables.step`."""
        assert self.update is not None, "it has no optimiser"
        if where is None:
            self.update.step(self.values, gradient)
        else:
            assert isinstance(self.update, MomentumUpdate), "only steps with momentum can be left out"
            self.update.step_where(where, self.values, gradient)
        if self.minimum is not None:
            self.values.clamp_(min=self.minimum)

    def places(self) -> list[Tensor]:
        """What a step moves in place; its optimiser is a :class:`RecordableUpdate`."""
        return [self.values, *([] if self.update is None else cast(RecordableUpdate, self.update).places(self.values))]

    @torch.no_grad()
    def begin(self, values: Tensor) -> None:
        """Other values, and an optimiser that has taken no step; both stay in their places."""
        self.values.copy_(values)
        if self.update is not None:
            assert isinstance(self.update, AdamUpdate), "only Adam begins anew"
            self.update.forget()

    def leaf(self) -> Tensor:
        """The values as a leaf of a new graph, which takes a gradient; they share their memory."""
        return self.values.detach().requires_grad_()

    def state_dict(self) -> dict[str, Any]:
        """Values, and what the optimiser keeps."""
        return {"values": self.values, **({} if self.update is None else self.update.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the tensors of :meth:`state_dict`."""
        self.values = state["values"]
        if self.update is not None:
            self.update.load_state_dict(state)


class Variables:
    """All that a distillation optimises; it resumes to the bit, and makes the synthetic set.

    Args:
        classes: (M,) int64, the class of each image.
        images: (M, C, H, W) float, in class order.
        labels: (M, K) float soft labels; ``None``: the class is the label.
        label_kind: whether they are probabilities or logits; ``None`` where there are none.
        rates: () or (T,) float learned learning rates; ``None``: there are none.
        own: further tensors of the method, by names other than ``images``, ``labels`` and ``rates``.
        partition: stored images hold partition^2 training images.
    """

    def __init__(
        self,
        *,
        classes: Tensor,
        images: Variable,
        labels: Variable | None = None,
        label_kind: SoftKind | None = None,
        rates: Variable | None = None,
        own: Mapping[str, Variable] | None = None,
        partition: int = 1,
    ) -> None:
        self.classes, self.images, self.labels, self.rates = classes, images, labels, rates
        self.label_kind, self.partition = label_kind, partition
        shared = {"images": images, "labels": labels, "rates": rates}
        self.all = {name: each for name, each in shared.items() if each is not None} | dict(own or {})

    def leaves(self) -> dict[str, Tensor]:
        """Name -> values as a leaf that takes a gradient, of every variable that has an optimiser."""
        return {name: each.leaf() for name, each in self.all.items() if each.update is not None}

    def step(self, gradients: Mapping[str, Tensor], *, where: Tensor | None = None) -> None:
        """Move each variable that is named against its gradient, of its shape.

        Args:
            gradients: name -> gradient.
            where: () bool on the device: where it is false, neither the variables nor their optimisers change; the host does
                not wait to know. For optimisers with momentum, not for Adam.
        """
        for name, gradient in gradients.items():
            self.all[name].step(gradient, where)

    def synthetic(self) -> SyntheticSet:
        """The synthetic set; with the variables themselves where they are float32.

        Raises:
            BaconError: a learning rate is not above 0.
        """
        return SyntheticSet(
            images=self.images.values.detach().float(),
            classes=self.classes,
            soft=None if self.labels is None else self.labels.values.detach().float(),
            soft_kind=self.label_kind,
            rates=None if self.rates is None else _positive(self.rates.values.detach().float().reshape(-1)),
            partition=self.partition,
        )

    def state_dict(self) -> dict[str, Any]:
        """Name -> values and what the optimiser keeps."""
        return {name: each.state_dict() for name, each in self.all.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the tensors of :meth:`state_dict`, which then must not be used elsewhere."""
        for name, each in self.all.items():
            each.load_state_dict(state[name])


class VariableAlgorithm:
    """The part of an algorithm that is the same wherever all that it keeps are its :class:`Variables`.

    What it has recorded in :class:`~bacon.distillation.recorded_steps.RecordedSteps` of its own is recorded anew after it has
    taken over a state.

    Attributes:
        variables: what it optimises.
    """

    variables: Variables

    @property
    def images(self) -> Tensor:
        """(classes * ipc, C, H, W): the current synthetic images."""
        return self.variables.images.values

    def synthetic(self) -> SyntheticSet:
        """The images with their classes, and labels and rates where they are variables."""
        return self.variables.synthetic()

    def state_dict(self) -> dict[str, Any]:
        """The variables and their optimisers; the iteration names all else."""
        return {"variables": self.variables.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, with the same bits as if nothing had happened."""
        self.variables.load_state_dict(state["variables"])
        for each in vars(self).values():
            if isinstance(each, RecordedSteps):  # of variables in other places
                each.clear()


def _positive(rates: Tensor) -> Tensor:
    if not bool((rates.isfinite() & (rates > 0)).all()):
        raise BaconError(
            f"the learned learning rates are {float(rates.min()):.3g} to {float(rates.max()):.3g}: they must stay above 0 and "
            "finite; lower the rate at which they are learned (distillation.lr_lr) or that of the images (distillation.lr_img)"
        )
    return rates
