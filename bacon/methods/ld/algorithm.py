"""LD: soft labels of real images, learned through one step of a network that is trained along with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.algorithm import Context
from bacon.distillation.real_images import draw_without_replacement
from bacon.distillation.recorded_iterations import RecordedIterations
from bacon.distillation.recorded_steps import Given, RecordedSteps
from bacon.distillation.unroll import FlatNetwork
from bacon.distillation.variables import AdamUpdate, Variable, VariableAlgorithm, Variables
from bacon.methods.ld.division import divided
from bacon.methods.ld.restart import RestartRule
from bacon.runtime.draws import Seed

if TYPE_CHECKING:
    from bacon.methods.ld.record import LDSettings

NETWORK = "network"
"""The variable that holds the weights of the network that is trained along."""
_FEWEST_STEPS = 2  # a set with one rate would be one that says no number of steps


class LD(VariableAlgorithm):
    """Label distillation through a step of gradient descent (second order); by ridge regression: ``bacon.methods.ld.ridge``.

    The set's learning rates are Adam's rate as many times as a network is to be trained for: their number is what is learned.

    Args:
        settings: the method's.
        context: what it is given.
    """

    terms: tuple[str, ...] = ("real_loss", "real_error")

    def __init__(self, settings: LDSettings, context: Context) -> None:
        self.settings, self.context, self.iterations = settings, context, settings.iterations
        real, self.places = context.real, divided(context, settings.validation)
        images = real.batch(self.places.base)
        self._batch = settings.inner_batch(len(images), real.classes)
        labels = torch.full((len(images), real.classes), 1 / real.classes, device=real.device, dtype=real.dtype)
        self._serial = 0
        self._flat = FlatNetwork(context.build(0, purpose="along"))
        self.variables = Variables(
            classes=context.classes,
            images=Variable(images, None),
            labels=Variable(labels, AdamUpdate(settings.lr_label)),
            label_kind="probabilities",
            own=self.fresh(0, "along"),
        )
        self.rule = RestartRule(settings.patience)
        self._best: dict[str, Any] | None = None  # labels, steps and error that are best on the held-out images
        self._trial: dict[str, Variable] = {}  # what tries the labels, in places that it keeps
        self.replays = RecordedIterations(
            context, self.variables, settings.iterations, terms=self.terms, moved=self._statistics
        )
        # A network that tries the labels takes about as many steps as the rule waits for, or more.
        trials = settings.iterations // settings.selection_interval * settings.patience
        self.trials = RecordedSteps(context, trials, name="a step of a network that tries the labels", reads_real=False)

    def fresh(self, index: int, purpose: str) -> dict[str, Variable]:
        """What is trained with the labels, untrained: the network number ``index`` among those of ``purpose``."""
        network = FlatNetwork(self.context.build(index, purpose=purpose))
        return {NETWORK: Variable(network.weights(), AdamUpdate(self.settings.lr_student))}

    @property
    def labels(self) -> Tensor:
        """(M, K) float: the current soft labels, rows of probabilities."""
        assert self.variables.labels is not None, "the labels are always there"
        return self.variables.labels.values

    def synthetic(self) -> SyntheticSet:
        """The images with the labels that are best so far on the held-out images, and for how many steps they train."""
        labels, steps = self.labels, self.rule.training_steps()
        if self._best is not None:
            labels, steps = self._best["labels"], self._best["steps"]
        rates = torch.full((max(steps, _FEWEST_STEPS),), self.settings.lr_student, device=labels.device)
        return replace(super().synthetic(), soft=labels.detach().float(), rates=rates)

    def state_dict(self) -> dict[str, Any]:
        """Labels and network with Adam's means, the rule of restarts, the best labels."""
        own = {"serial": self._serial, "rule": self.rule.state_dict(), "best": self._best}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, with the same bits as if nothing had happened."""
        super().load_state_dict(state)
        self._serial, self._best = state["serial"], state["best"]
        self.rule.load_state_dict(state["rule"])

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One iteration: labels, then the network, each by Adam; a restart or a trial of the labels where one is due.

        The rule of restarts needs the error on the host, so it waits for the device.
        """
        terms = self.advance(iteration)
        if self.rule.update(float(terms["real_error"])):
            self._serial += 1
            _begin(self.variables.all, self.fresh(self._serial, "along"))
        if len(self.places.validation) and (iteration + 1) % self.settings.selection_interval == 0:
            self.choose(iteration)
        return terms

    def advance(self, iteration: int) -> dict[str, Tensor]:
        """Move labels and network; loss and error (0-d) on real images."""
        return self.replays.iterate(self.gradients, Given(number=iteration), iteration=iteration, move=self.move)

    def move(self, gradients: Mapping[str, Tensor], given: Given) -> None:
        """A step of each variable that is named; then the labels are probabilities again."""
        del given
        self.variables.step(gradients)
        self.labels.clamp_(0, 1)
        self.labels.div_(self.labels.sum(dim=1, keepdim=True))

    def inner_places(self, iteration: int | Tensor) -> Tensor:
        """(B,) int64: the images of an iteration's step."""
        return _some(len(self.images), self._batch, self.context.seed, "inner-batch", iteration, self.context.device)

    def real_batch(self, iteration: int | Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) and labels (B,) int64 out of those that are learned from."""
        real, places = self.context.real, self.places.target
        size = min(self.settings.batch_real, len(places))
        chosen = places[_some(len(places), size, self.context.seed, "real-batch", iteration, self.context.device)]
        return real.batch(chosen), real.labels[chosen]

    def gradients(self, given: Given) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Gradients of labels and network, and loss and error (0-d) on real images after the step."""
        places = self.inner_places(given.number)
        leaves = self.variables.leaves()
        weights, labels = leaves[NETWORK], leaves["labels"]
        logits = self._flat(weights, self.images.index_select(0, places))
        loss = F.cross_entropy(logits, labels.index_select(0, places))
        (inner,) = torch.autograd.grad(loss, weights, create_graph=True)
        after = (weights - self.settings.lr_inner * inner).detach()
        cotangent, terms = self._on_real(after, *self.real_batch(given.number))
        (by_labels,) = torch.autograd.grad(inner, labels, -self.settings.lr_inner * cotangent)
        return {"labels": by_labels, NETWORK: inner.detach()}, terms

    def _on_real(self, weights: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient (P,) of the mean cross-entropy by the weights, with loss and error, in pieces that fit in memory."""
        leaf, gradient = weights.requires_grad_(), torch.zeros_like(weights)
        loss, wrong = (torch.zeros((), device=images.device, dtype=images.dtype) for _ in range(2))
        for some, their_labels in self.pieces(images, labels):
            logits = self._flat(leaf, some)
            part = F.cross_entropy(logits, their_labels, reduction="sum") / len(images)
            gradient = gradient + torch.autograd.grad(part, leaf)[0]
            loss, wrong = loss + part.detach(), wrong + (logits.argmax(dim=1) != their_labels).sum()
        return gradient, {"real_loss": loss, "real_error": wrong / len(images)}

    def pieces(self, images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Parts of a batch that fit in memory; all of it where batch norm couples its images."""
        coupled = self.context.network.norm == "batch"
        size = len(images) if coupled else self.context.memory.images(self.context.real.shape)
        return zip(images.split(size), labels.split(size), strict=True)

    def choose(self, iteration: int) -> None:
        """Train a new network on the current labels; keep these where its error on the held-out images is the lowest."""
        steps = max(self.rule.training_steps(), _FEWEST_STEPS)
        weights = self.trained(iteration, steps)
        error = float(self._validation_error(weights))
        if self._best is None or error < self._best["error"]:
            self._best = {"labels": self.labels.clone(), "steps": steps, "error": error}

    def trained(self, iteration: int, steps: int) -> Tensor:
        """(P,): the weights of a new network after ``steps`` steps of Adam on the images with their current labels."""
        return self.tried(iteration, steps)[NETWORK].values.clone()

    def tried(self, iteration: int, steps: int) -> dict[str, Variable]:
        """What ``steps`` steps on the images with their current labels have made of it; stays so until the next trial."""
        fresh = self.fresh(iteration, "trial")
        self._trial = self._trial or fresh
        _begin(self._trial, fresh)

        def step(given: Given) -> tuple[()]:
            self.learn(self._trial, *given.tensors)
            return ()

        for some in self.trial_places(iteration, steps):
            self.trials(step, Given(number=0, tensors=(some,)), moved=self._moved_by_trials)
        return self._trial

    def learn(self, state: Mapping[str, Variable], places: Tensor) -> None:
        """A step of a network on images of the set, (B,) int64, with their current labels."""
        leaf = state[NETWORK].leaf()
        logits = self._flat(leaf, self.images.index_select(0, places))
        loss = F.cross_entropy(logits, self.labels.index_select(0, places))
        state[NETWORK].step(torch.autograd.grad(loss, leaf)[0])

    def _moved_by_trials(self) -> list[Tensor]:
        return [*self._statistics(), *(place for each in self._trial.values() for place in each.places())]

    def _statistics(self) -> list[Tensor]:
        """Running statistics, which are moved and not read."""
        return list(self._flat.network.buffers())

    def trial_places(self, iteration: int, steps: int) -> Tensor:
        """(steps, B) int64: the images of each step of the network that the labels of an iteration are tried with."""
        purpose = f"trial-batch-{iteration}"
        return _some(len(self.images), self._batch, self.context.seed, purpose, range(steps), self.context.device)

    @torch.no_grad()
    def _validation_error(self, weights: Tensor) -> Tensor:
        real, places = self.context.real, self.places.validation
        wrong = torch.zeros((), device=real.device)
        for some in places.split(self.context.memory.images(real.shape)):
            wrong = wrong + (self._flat(weights, real.batch(some)).argmax(dim=1) != real.labels[some]).sum()
        return wrong / len(places)


def _begin(state: Mapping[str, Variable], fresh: Mapping[str, Variable]) -> None:
    """What is trained begins anew, in its places."""
    for name, each in fresh.items():
        state[name].begin(each.values)


def _some(
    count: int, size: int, seed: Seed, purpose: str, iteration: int | Tensor | range, device: torch.device
) -> Tensor:
    """(size,) int64 distinct places of ``count``; a range of L numbers gives (L, size), each row a draw of its own."""
    lanes = torch.arange(len(iteration), device=device) if isinstance(iteration, range) else None
    one = torch.zeros(1, dtype=torch.int64, device=device) if lanes is None else lanes
    drawn = draw_without_replacement(
        seed,
        purpose,
        iteration=0 if isinstance(iteration, range) else iteration,
        lanes=one,
        populations=torch.full_like(one, count),
        largest=count,
        size=size,
    )
    return drawn[0] if lanes is None else drawn
