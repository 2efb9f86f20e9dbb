"""Attacks on the networks that a cell's evaluation trains, by torchattacks (Kim, 2020), on pixels in [0, 1]."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torchattacks
from torch import Tensor

from bacon.downstream.algorithm import Measured, Measurement, TaskContext
from bacon.downstream.chosen_images import chosen_images
from bacon.downstream.pixel_network import PixelNetwork, pixels_at
from bacon.downstream.robustness.beard_metrics import (
    attack_efficiency,
    robustness_efficiency_index,
    robustness_ratio,
)
from bacon.downstream.robustness.record import WORST
from bacon.runtime import draws
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger

if TYPE_CHECKING:
    from bacon.downstream.robustness.record import RobustnessSettings

log = get_logger(__name__)

_BATCH = 256
_FEWEST_CLASSES = 4  # AutoAttack's targeted loss compares the three largest other logits

Perturb = Callable[[Tensor, Tensor], Tensor]


class Robustness:
    """The task on one cell."""

    def __init__(self, settings: RobustnessSettings, context: TaskContext) -> None:
        if "autoattack" in settings.attacks and context.classes < _FEWEST_CLASSES:
            raise BaconError(
                f"{context.where}: AutoAttack needs at least {_FEWEST_CLASSES} classes, and {context.dataset.name} has "
                f"{context.classes}: take autoattack out of downstream.robustness.attacks"
            )
        if (warning := settings.out_of_reach()) is not None:
            log.warning("%s", warning)  # of the settings, not of this network: the same text in every job
        self._settings, self._context = settings, context
        self._places = torch.from_numpy(chosen_images(len(context.test), settings.test_images))

    def measure(self, repetition: int) -> Measured:
        """Clean accuracy, that under every attack, and BEARD's numbers for each epsilon."""
        settings = self._settings
        network = PixelNetwork(self._context.trained(repetition), self._context.test)
        self._warm_up(network)
        clean, clean_seconds = self._run(network, None, (repetition, 0))
        withstood, seconds = {}, {}
        for number, (name, epsilon) in enumerate(settings.pairs()):
            attack = made_attack(
                name, epsilon, settings, network, self._context.classes, self._seed(repetition, number, 0)
            )
            withstood[name, epsilon], seconds[name, epsilon] = self._run(network, attack, (repetition, number))
        measurements = [Measurement(metric="accuracy", value=float(clean.double().mean()))]
        for epsilon in settings.all_epsilons():
            attacks = settings.together(epsilon)
            kept = torch.stack([withstood[name, epsilon] for name in attacks])
            names = (*attacks, WORST) if len(attacks) > 1 else attacks
            measurements += [
                Measurement(metric="robust_accuracy", condition=name, at=epsilon, value=float(row.double().mean()))
                for name, row in zip(names, (*kept, kept.all(dim=0)), strict=False)
            ]
            if len(attacks) > 1:
                accuracies = kept.double().mean(dim=1).tolist()
                times = [seconds[name, epsilon] for name in attacks]
                scores = self._beard(float(clean.double().mean()), accuracies, clean_seconds, times)
                measurements += [Measurement(metric=name, at=epsilon, value=value) for name, value in scores.items()]
        details = {"seconds": {f"{name} {epsilon:.6g}": value for (name, epsilon), value in seconds.items()}}
        return Measured(
            measurements=tuple(measurements),
            details={**details, "clean_seconds": clean_seconds, "test_images": len(self._places)},
        )

    def _beard(
        self, clean: float, attacked: list[float], clean_seconds: float, seconds: list[float]
    ) -> dict[str, float]:
        """RR, AE and CREI, as far as they are defined."""
        rr, ae = robustness_ratio(clean, attacked), attack_efficiency(clean_seconds, seconds)
        found = {"rr": rr, "ae": ae}
        if rr is not None and ae is not None:
            found["crei"] = robustness_efficiency_index(rr, ae, alpha=self._settings.alpha)
        return {name: value for name, value in found.items() if value is not None}

    def _run(self, network: PixelNetwork, attack: Perturb | None, key: tuple[int, int]) -> tuple[Tensor, float]:
        """Whether each chosen image is classified correctly under an attack, (N,) bool on the host, and the seconds."""
        test, right = self._context.test, []
        _synchronize(self._context.device)
        start = time.perf_counter()
        for number, places in enumerate(self._places.split(_BATCH)):
            pixels, labels = pixels_at(test, places), test.labels[places.to(test.device)]
            if attack is not None:
                with seeded(self._seed(*key, 1 + number), self._context.device):
                    pixels = attack(pixels, labels).detach()
            with torch.no_grad():
                right.append(network(pixels).argmax(dim=1) == labels)
        found = torch.cat(right).cpu()
        return found, time.perf_counter() - start

    def _warm_up(self, network: PixelNetwork) -> None:
        """A first gradient, untimed: what is set up once should count for no attack."""
        places = self._places[:_BATCH]
        pixels, test = pixels_at(self._context.test, places), self._context.test
        torchattacks.FGSM(network, eps=1 / 255)(pixels, test.labels[places.to(test.device)])

    def _seed(self, repetition: int, attack: int, batch: int) -> int:
        word = draws.words(self._context.seed(repetition), "downstream-attack", count=1, iteration=attack, lanes=batch)
        return int(word[0])


def made_attack(
    name: str, epsilon: float, settings: RobustnessSettings, network: PixelNetwork, classes: int, seed: int
) -> Perturb:
    """An attack on a network: pixels in [0, 1] and classes to pixels in [0, 1], none changed by more than ``epsilon``."""
    # The library takes the device from a parameter.
    if name == "fgsm":
        return torchattacks.FGSM(network, eps=epsilon)  # type: ignore[no-any-return]
    if name == "pgd":
        return torchattacks.PGD(  # type: ignore[no-any-return]
            network, eps=epsilon, alpha=settings.step_size, steps=settings.steps, random_start=settings.random_start
        )
    return torchattacks.AutoAttack(network, norm="Linf", eps=epsilon, n_classes=classes, seed=seed)  # type: ignore[no-any-return]


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """PyTorch's global generators, which the library draws from, at a seed of ours; as they were before afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
