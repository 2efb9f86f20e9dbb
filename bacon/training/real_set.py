"""Networks trained on the real set, one or several at once, and what is kept of each on the way.

Several networks of one need have equally many steps, so they are trained in turns, a step of each. On a GPU each has a stream
of its own: a small network leaves most of it idle. Nothing that one computes depends on the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.networks.build import build_network
from bacon.settings.training_need import TrainingNeed
from bacon.training.batches import IMAGES_AT_ONCE
from bacon.training.image_set import ImageSet
from bacon.training.loop import DivergedError, Training
from bacon.training.predictions import logits

KeepSnapshot = Callable[[int, int, Mapping[str, Tensor]], str]
"""Run, epoch and weights on the CPU -> a name of what was stored."""


def run_seed(run: int) -> tuple[int, int]:
    """Seed of a training run: that of initialisation, order and augmentation."""
    return 0, run


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a finished run leaves; arrays and tensors are on the CPU.

    Attributes:
        weights: parameters and buffers; ``None`` where they are not kept.
        snapshots: epoch -> name of the stored weights.
        history: (E, ceil(N / 8)) uint8, whether each image was correct in each epoch, eight a byte; ``None``: not kept.
        soft_labels: (N, classes) float32 logits; ``None``: not kept.
        train_loss: mean loss over the batches of the last epoch.
        train_accuracy: share of the images that were correct in those batches, in [0, 1].
        epochs: epochs trained.
        seconds: its share of the time.
        joules: its share of what the device took; ``None``: unknown.
    """

    weights: dict[str, Tensor] | None
    snapshots: Mapping[int, str]
    history: npt.NDArray[np.uint8] | None
    soft_labels: npt.NDArray[np.float32] | None
    train_loss: float
    train_accuracy: float
    epochs: int
    seconds: float
    joules: float | None = None


@dataclass
class RealSetRun:
    """One network in training on the real set; it resumes to the bit.

    Args:
        number: of the run.
        need: what is trained and kept.
        train: the real set.
        classes: number of classes.
        keep_snapshot: stores the weights of an epoch.
        own_stream: whether it gets a stream of its own on a GPU.
        images_at_once: bounds memory; changes no draw, and results by rounding at the most.
    """

    number: int
    need: TrainingNeed
    train: ImageSet
    classes: int
    keep_snapshot: KeepSnapshot
    own_stream: bool = False
    images_at_once: int = IMAGES_AT_ONCE
    seconds: float = 0.0
    joules: float | None = 0.0
    snapshots: dict[int, str] = field(default_factory=dict)
    _history: list[npt.NDArray[np.uint8]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the network; raises :class:`BaconError` where it does not fit the images."""
        on_gpu = self.train.device.type == "cuda"
        self._stream = torch.cuda.Stream(self.train.device) if self.own_stream and on_gpu else None
        with self._on_stream():
            model = build_network(
                self.need.network,
                channels=self.train.images.shape[1],
                size=self.train.images.shape[2],
                classes=self.classes,
                seed=run_seed(self.number),
                purpose=f"{self.need.purpose}-network",
                device=self.train.device,
            )
            self.training = Training(
                model,
                self.train,
                self.need.recipe,
                run_seed(self.number),
                purpose=self.need.purpose,
                every_epoch="history" in self.need.keep,
                images_at_once=self.images_at_once,
            )
        self._kept = frozenset(self.need.snapshot_epochs(self.training.epochs))

    def _on_stream(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def next_epoch(self) -> Iterator[None]:
        """Train one more epoch, a step from one item to the next, and keep what the need asks for."""
        if self.training.epoch == 0:
            self._keep_snapshot()
        steps, more = self.training.next_epoch(), True
        while more:
            with self._on_stream():
                more = next(steps, self) is not self
            if more:
                yield
        with self._on_stream():
            if "history" in self.need.keep:
                self._history.append(np.packbits(self.training.correct.cpu().numpy()))
            self._keep_snapshot()

    def _keep_snapshot(self) -> None:
        epoch = self.training.epoch
        if epoch in self._kept and epoch not in self.snapshots:
            weights = {name: tensor.cpu() for name, tensor in self.training.weights().items()}
            self.snapshots[epoch] = self.keep_snapshot(self.number, epoch, weights)

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs, between epochs."""
        return {
            "training": self.training.state_dict(),
            "history": [torch.from_numpy(epoch) for epoch in self._history],
            "snapshots": dict(self.snapshots),
            "seconds": self.seconds,
            "joules": self.joules,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.training.load_state_dict(state["training"])
        self._history = [epoch.cpu().numpy() for epoch in state["history"]]
        self.snapshots, self.seconds = dict(state["snapshots"]), float(state["seconds"])
        self.joules = state["joules"]

    def result(self) -> RunResult:
        """What the finished run leaves.

        Raises:
            DivergedError: its training diverged.
        """
        with self._on_stream():
            training, keep = self.training, self.need.keep
            training.finish()
            loss, accuracy = (total / training.seen for total in training.totals.tolist())
            if not loss < float("inf"):
                raise DivergedError(
                    f"run {self.number}: the training loss of the last epoch is {loss}: training diverged. Lower the learning "
                    f"rate of its recipe (now {self.need.recipe.optimiser.lr}; of the full training set: evaluation.lr_net)"
                )
            weights = {name: tensor.cpu() for name, tensor in training.weights().items()} if "final" in keep else None
            labels = logits(training.model, self.train, self.images_at_once) if "soft_labels" in keep else None
            return RunResult(
                weights=weights,
                snapshots=dict(sorted(self.snapshots.items())),
                history=np.stack(self._history) if "history" in keep else None,
                soft_labels=None if labels is None else labels.cpu().numpy(),
                train_loss=loss,
                train_accuracy=accuracy,
                epochs=training.epochs,
                seconds=self.seconds,
                joules=self.joules,
            )


def train_together(
    runs: Sequence[RealSetRun],
    after_epoch: Callable[[], None] = lambda: None,
    joules: Callable[[], float | None] = lambda: None,
) -> None:
    """Train runs of one need that have come equally far to the end, in turns; time and energy are divided among them.

    Args:
        runs: the runs.
        after_epoch: called when each has done one more epoch; it may save their states or end the training by an error.
        joules: what the device has taken so far, since whenever; ``None``: unknown.
    """
    while not runs[0].training.is_finished:
        start, energy = time.perf_counter(), joules()
        for _ in zip_longest(*(run.next_epoch() for run in runs)):
            pass
        seconds, taken = time.perf_counter() - start, _difference(joules(), energy)
        for run in runs:
            run.seconds += seconds / len(runs)
            run.joules = None if run.joules is None or taken is None else run.joules + taken / len(runs)
        after_epoch()


def _difference(later: float | None, earlier: float | None) -> float | None:
    return None if later is None or earlier is None else later - earlier
