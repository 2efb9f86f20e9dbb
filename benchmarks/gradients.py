"""Gradient matching (DC, DSA): steps of the images and epochs of the network, in turns with a plain loop over the classes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bacon.distillation.algorithm import Context, load_algorithm
from bacon.distillation.gradient_matching import GradientMatching
from bacon.distillation.real_images import RealImages
from bacon.methods.registry import METHODS
from bacon.runtime.errors import BaconError
from bacon.settings.gradient_matching import GradientMatchingSettings
from benchmarks.cells import Measured, random_dataset
from benchmarks.distillation import in_turns, summary
from benchmarks.machine import seconds_of
from benchmarks.naive import augmented, plain_network


class PlainGradients:
    """Everything when it comes to it: class by class, PyTorch's own layers, a host list of indices, the loss read back.

    Args:
        real: the training set.
        ours: what it is compared with, for its settings and shapes.
    """

    def __init__(self, real: RealImages, ours: GradientMatching) -> None:
        self.settings, self.strategy, self.ipc = ours.settings, ours.strategy, ours.context.ipc
        self.random, self.device, self.classes = np.random.default_rng(0), real.device, real.classes
        self.images, labels = real.batch(torch.arange(len(real.labels), device=real.device)), real.labels.cpu().numpy()
        self.indices_of = [np.flatnonzero(labels == label).tolist() for label in range(self.classes)]
        self.x = ours.images.clone().requires_grad_()
        self.labels = ours.context.classes
        self.optimiser = torch.optim.SGD([self.x], lr=self.settings.lr_img, momentum=self.settings.momentum)
        self.network = plain_network(ours.context.network, real.shape, self.classes).to(self.device)

    def step(self) -> None:
        """One step of the images."""
        total = torch.zeros((), device=self.device)
        parameters = list(self.network.parameters())
        for label in range(self.classes):
            chosen = self.random.permutation(self.indices_of[label])[: self.settings.batch_real]
            seed = time.time_ns() % 100_000
            real = augmented(self.images[chosen], self.strategy, seed)
            synthetic = augmented(self.x[label * self.ipc : (label + 1) * self.ipc], self.strategy, seed)
            towards = [gradient.detach() for gradient in self.gradients(parameters, real, label)]
            total = total + distance(towards, self.gradients(parameters, synthetic, label, create_graph=True))
        self.optimiser.zero_grad()
        total.backward()
        self.optimiser.step()
        total.item()

    def gradients(
        self, parameters: list[nn.Parameter], images: Tensor, label: int, *, create_graph: bool = False
    ) -> tuple[Tensor, ...]:
        """Of the mean cross-entropy of images of one class."""
        labels = torch.full((len(images),), label, device=self.device)
        return torch.autograd.grad(F.cross_entropy(self.network(images), labels), parameters, create_graph=create_graph)

    def epochs(self, count: int) -> None:
        """The network on the images."""
        optimiser = torch.optim.SGD(self.network.parameters(), lr=self.settings.lr_net)
        for _ in range(count):
            for batch in torch.randperm(len(self.labels), device=self.device).split(self.settings.batch_train):
                images = augmented(self.x.detach()[batch], self.strategy, time.time_ns() % 100_000)
                optimiser.zero_grad()
                loss = F.cross_entropy(self.network(images), self.labels[batch])
                loss.backward()
                optimiser.step()
                loss.item()


def distance(real: list[Tensor], synthetic: tuple[Tensor, ...]) -> Tensor:
    """DC's distance of two gradients."""
    total = torch.zeros((), device=real[0].device)
    for a, b in zip(real, synthetic, strict=True):
        if a.ndim > 1:
            a, b = a.flatten(1), b.flatten(1)
            total = total + (1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)).sum()
    return total


def measure(
    measured: Measured, *, device: torch.device, rounds: int, batch_real: int | None = None, epochs: int = 2
) -> dict[str, Any]:
    """Seconds of a step of the images and of an epoch between steps, ours and the plain loop's, on random data.

    Args:
        measured: a cell of a method that matches gradients.
        device: where both run.
        rounds: of each, in turns, after one that does not count.
        batch_real: real images per class in place of the cell's, for machines on which a whole step takes long.
        epochs: measured at a time.
    """
    settings = measured.settings.distillation
    if not isinstance(settings, GradientMatchingSettings):
        raise BaconError(f"cell {measured.cell}: its method matches no gradients; give one of dc, dsa, dcc and dsac")
    loops = settings.loops(measured.ipc)
    settings = settings.model_copy(
        update={"outer": 2, "inner": epochs, "batch_real": batch_real or settings.batch_real}
    )
    real = RealImages(random_dataset(measured.cell.dataset), device=device)
    record = METHODS[measured.cell.method]
    assert record.algorithm is not None
    context = Context(cell=measured.cell, real=real, network=measured.settings.network)
    ours = load_algorithm(record.algorithm, settings, context)
    assert isinstance(ours, GradientMatching)
    plain, network = PlainGradients(real, ours), context.build(0)
    steps = in_turns(
        {
            "ours": lambda: seconds_of(lambda: ours.match(network, 0, 0), device),
            "plain": lambda: seconds_of(plain.step, device),
        },
        rounds,
    )
    row = {"cell": str(measured.cell), **{f"step_{name}": value for name, value in summary(steps).items()}}
    if loops.outer > 1:
        trained = in_turns(
            {
                "ours": lambda: seconds_of(lambda: ours.training(network, ours.images, 0, 0), device),
                "plain": lambda: seconds_of(lambda: plain.epochs(epochs), device),
            },
            rounds,
        )
        row |= {f"epochs_{name}": value for name, value in summary(trained).items()}
        shares = loops.outer, (loops.outer - 1) * loops.inner / epochs
        for name, key in (("ours", "seconds"), ("plain", "plain_seconds")):
            row[f"iteration_{name}"] = shares[0] * row[f"step_{key}"] + shares[1] * row[f"epochs_{key}"]
    return row
