"""What DATM begins with: images that an expert knows, and the experts' mean logits of them as labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from bacon.artifacts.trained_runs import TrainedRuns
from bacon.distillation.algorithm import Context
from bacon.networks.network import Network
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger
from bacon.training.run_networks import run_network

log = get_logger(__name__)

Start = Literal["correct", "real"]


class ExpertPredictions:
    """Logits of the experts after their training; the network of the last one asked for is kept.

    Args:
        runs: the experts.
        context: what the algorithm is given.
    """

    def __init__(self, runs: TrainedRuns, context: Context) -> None:
        self._runs, self._context = runs, context
        self._kept: tuple[int, Network] | None = None

    def __len__(self) -> int:
        """Number of experts."""
        return len(self._runs)

    @torch.no_grad()
    def logits(self, run: int, images: Tensor) -> Tensor:
        """(N, K) of images (N, C, H, W), some at a time."""
        if self._kept is None or self._kept[0] != run:
            last, real = max(self._runs.epochs(run)), self._context.real
            self._kept = run, run_network(self._runs, run, device=real.device, epoch=last, dtype=real.dtype)
        at_once = self._context.memory.images(self._context.real.shape)
        return torch.cat([self._kept[1](some) for some in images.split(at_once)])


def initial_places(start: Start, context: Context, predictions: ExpertPredictions) -> Tensor:
    """(classes * ipc,) int64: places of the initial images among the real ones, class after class.

    Of each class, in a random order, the first images that the first expert classifies correctly; where they are too few, the
    first of the others that the next expert does, and so on; where all experts together know too few, which a warning says, the
    first of the rest. With ``start`` real: the first of the order.

    Raises:
        BaconError: a class has fewer images than asked for.
    """
    real, ipc = context.real, context.ipc
    if min(real.counts) < ipc:
        name = real.class_names[real.counts.index(min(real.counts))]
        raise BaconError(f"IPC {ipc} needs as many real images of each class; class {name!r} has {min(real.counts)}")
    orders = [
        real.sample_classes(context.seed, "initial-images", iteration=0, classes=[label], size=count)[0]
        for label, count in enumerate(real.counts)
    ]
    if start == "real":
        return torch.cat([order[:ipc] for order in orders])
    found = [order[:0] for order in orders]
    for run in range(len(predictions)):
        for label, rest in enumerate(orders):
            if len(found[label]) < ipc:
                known = _known(context, predictions, run, label, rest)
                found[label], orders[label] = torch.cat([found[label], rest[known]]), rest[~known]
    if unknown := [label for label, places in enumerate(found) if len(places) < ipc]:
        log.warning(
            "%s: the experts together classify fewer than %d training images correctly of %s; others of these classes fill up",
            context.cell, ipc, ", ".join(real.class_names[label] for label in unknown),
        )  # fmt: skip
    return torch.cat([torch.cat(pair)[:ipc] for pair in zip(found, orders, strict=True)])


def _known(context: Context, predictions: ExpertPredictions, run: int, label: int, places: Tensor) -> Tensor:
    """(N,) bool: which of a class's images at ``places`` an expert classifies correctly."""
    at_once = context.memory.images(context.real.shape)
    parts = [predictions.logits(run, context.real.batch(some)).argmax(dim=1) for some in places.split(at_once)]
    return (torch.cat(parts) if parts else places) == label


def initial_labels(start: Start, context: Context, predictions: ExpertPredictions, images: Tensor) -> Tensor:
    """(M, K) float logits: the mean over the experts that classify an image correctly; of all where none does.

    With ``start`` real: those of the first expert.
    """
    if start == "real":
        return predictions.logits(0, images)
    all_logits = (predictions.logits(run, images) for run in range(len(predictions)))
    return mean_of_correct(all_logits, context.classes)


def mean_of_correct(logits: Iterable[Tensor], classes: Tensor) -> Tensor:
    """(M, K): of each image's logits (M, K) from several networks, the mean of those that are right about its class (M,) int64.

    Where none is right: the mean of all.
    """
    right, every = Masked(), Masked()
    for one in logits:
        right.add(one, one.argmax(dim=1) == classes)
        every.add(one, torch.ones_like(classes, dtype=torch.bool))
    return torch.where((right.count > 0)[:, None], right.mean(), every.mean())


class Masked:
    """A running mean of rows, each over the terms that it takes part in."""

    def __init__(self) -> None:
        self.total: Tensor = torch.zeros(())
        self.count: Tensor = torch.zeros(())

    def add(self, rows: Tensor, where: Tensor) -> None:
        """Add the rows (M, K) where (M,) says so."""
        self.total = self.total.to(rows) + rows * where[:, None]
        self.count = self.count.to(where.device) + where

    def mean(self) -> Tensor:
        """(M, K); 0 where no term counted."""
        return self.total / self.count.clamp(min=1)[:, None]
