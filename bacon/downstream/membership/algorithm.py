"""Membership inference on the networks that a cell's evaluation trains."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bacon.downstream.algorithm import Measured, Measurement, TaskContext
from bacon.downstream.image_subsets import images_at
from bacon.downstream.membership.attacked_network import attacked, shadow_values
from bacon.downstream.membership.membership_scores import AttackScores
from bacon.downstream.membership.record import OWN
from bacon.downstream.membership.target_images import Places, Targets, draw_shadow, draw_targets, verbatim
from bacon.evaluation.train_and_test import measure_network
from bacon.networks.network import Network
from bacon.training.image_set import ImageSet

if TYPE_CHECKING:
    from bacon.downstream.membership.record import MembershipSettings

_TARGETS_SEED = 0
"""Every cell is attacked with the same images."""
_FIRST_SHADOW = 1000
"""Number of the first shadow network as an evaluation seed: above all evaluation seeds."""


class Membership:
    """The task on one cell."""

    def __init__(self, settings: MembershipSettings, context: TaskContext) -> None:
        self._settings, self._context = settings, context

    def measure(self, repetition: int) -> Measured:
        """One network under every attack: with members of the set's source and, where it holds real images, with these."""
        network = self._context.trained(repetition)
        members, own, others = self._images
        shadows, width = self._shadows, len(members)
        found = attacked(network, members, others, None if shadows is None else _without(shadows, width, len(own)))
        measurements = [*_measurements(found, ""), *self._accuracies(network)]
        if len(own):
            of_own = attacked(network, own, others, None if shadows is None else shadows[:, width:])
            measurements += _measurements(of_own, OWN)
        details = {"members": len(members), "own_images": len(own), "others": len(others)}
        return Measured(measurements=tuple(measurements), details=details)

    @cached_property
    def _targets(self) -> Targets:
        real, test = (images.labels.cpu().numpy() for images in (self._context.real_train, self._context.test))
        return draw_targets(real, test, images=self._settings.images, seed=_TARGETS_SEED)

    @cached_property
    def _own(self) -> Places:
        """Places of the real images that the set holds unchanged."""
        context = self._context
        return np.empty(0, dtype=np.int64) if context.is_full else verbatim(context.train, context.real_train)

    @cached_property
    def _images(self) -> tuple[ImageSet, ImageSet, ImageSet]:
        """Members of the source, the set's own real images, and others."""
        real, targets = self._context.real_train, self._targets
        members, own, others = (torch.from_numpy(places) for places in (targets.members, self._own, targets.others))
        return images_at(real, members), images_at(real, own), images_at(self._context.test, others)

    @cached_property
    def _shadows(self) -> Tensor | None:
        """(S, members + own + others): what each shadow network makes of all images that are attacked."""
        if not self._settings.shadows or self._context.is_full:
            return None
        rows = [self._kept_shadow(number) for number in range(self._settings.shadows)]
        return torch.tensor(rows, dtype=torch.float64)

    def _kept_shadow(self, number: int) -> list[float]:
        values: list[float] = self._context.kept(f"shadow{number}", lambda: self._shadow(number))
        return values

    def _shadow(self, number: int) -> list[float]:
        context, seed = self._context, self._context.seed(0)[0]
        labels = context.real_train.labels.cpu().numpy()
        places = draw_shadow(
            labels,
            np.concatenate([self._targets.members, self._own]),
            per_class=np.bincount(context.train.labels.cpu().numpy(), minlength=context.classes),
            seed=seed,
            number=number,
        )
        images = images_at(context.real_train, torch.from_numpy(places))
        network = context.train_network(images, seed=(seed, _FIRST_SHADOW + number))
        values: list[float] = shadow_values([network], *self._images)[0].tolist()
        return values

    def _accuracies(self, network: Network) -> list[Measurement]:
        """Accuracy on members and on others: the gap that the attack by loss lives on."""
        members, _, others = self._images
        return [
            Measurement(
                metric="accuracy",
                condition=name,
                value=measure_network(network, images, classes=self._context.classes).test_accuracy,
            )
            for name, images in (("members", members), ("others", others))
        ]


def _without(shadows: Tensor, members: int, own: int) -> Tensor:
    """The columns of members and others."""
    return torch.cat([shadows[:, :members], shadows[:, members + own :]], dim=1)


def _measurements(found: dict[str, AttackScores], before: str) -> list[Measurement]:
    return [
        Measurement(metric=metric, condition=f"{before}{attack}", value=value)
        for attack, scores in found.items()
        for metric, value in vars(scores).items()
    ]
