"""Iterates an algorithm: steps, snapshots, history, and the whole state of it all. Knows no method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from bacon.artifacts.snapshots import Snapshots
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation.algorithm import Algorithm
from bacon.distillation.divergence import INTERVAL, Divergence
from bacon.distillation.history import History
from bacon.runtime.errors import BaconError
from bacon.runtime.progress import Progress


class Engine:
    """A distillation from its first iteration to its last.

    Args:
        algorithm: what is iterated.
        device: where the history is kept until it is read.
        keep: iterations whose synthetic set is kept.
        snapshots: where they are kept; by default in memory.
        divergence: what watches the images and the loss; by default nothing does.
        diverged: called once with what it saw, in words.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        *,
        device: torch.device,
        keep: Sequence[int] = (),
        snapshots: Snapshots | None = None,
        divergence: Divergence | None = None,
        diverged: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.algorithm, self.device, self.iteration = algorithm, device, 0
        self.snapshots: Snapshots | dict[int, SyntheticSet] = {} if snapshots is None else snapshots
        self.history = History(algorithm.terms, algorithm.iterations, device=device)
        self.divergence, self._diverged = divergence, diverged
        self._keep = frozenset(keep)

    def run(self, progress: Progress, after_iteration: Callable[[], None] = lambda: None) -> None:
        """Iterate to the end, keeping snapshots; ``after_iteration`` may save the state or end the run by an error."""
        for _ in self.turns(progress, after_iteration):
            pass

    def turns(self, progress: Progress, after_iteration: Callable[[], None] = lambda: None) -> Iterator[None]:
        """:meth:`run`, which yields after every iteration."""
        self._snapshot()
        while self.iteration < self.algorithm.iterations:
            self.step()
            self._snapshot()
            self._watch()
            progress.advance()
            after_iteration()
            yield
        self.check()

    def step(self) -> None:
        """One iteration, recorded."""
        self.history.record(self.iteration, self.algorithm.step(self.iteration))
        self.iteration += 1

    def _watch(self) -> None:
        """Now and then, and at the end, look whether the distillation runs off."""
        due = self.iteration % INTERVAL == 0 or self.iteration in (1, self.algorithm.iterations)
        if self.divergence is None or not due:
            return
        loss = (
            self.history.values[self.iteration - 1, self.history.names.index("loss")]
            if "loss" in self.history.names
            else None
        )
        if self.divergence.look(self.iteration - 1, self.algorithm.synthetic().images, loss):
            self._diverged(str(self.divergence.found))

    def _snapshot(self) -> None:
        if self.iteration in self._keep and self.iteration not in self.snapshots:
            self.snapshots[self.iteration] = stored(self.algorithm.synthetic())

    def synthetic(self) -> SyntheticSet:
        """The current synthetic set, as it is stored."""
        kept = self.snapshots.get(self.iteration)
        return stored(self.algorithm.synthetic()) if kept is None else kept

    def check(self) -> None:
        """Raise :class:`BaconError` when a loss term or a part of the synthetic set is not finite."""
        self.history.check()
        now = self.algorithm.synthetic()
        for name, part in (("images", now.images), ("soft labels", now.soft), ("learning rates", now.rates)):
            if part is not None and not bool(part.isfinite().all()):
                raise BaconError(
                    f"iteration {self.iteration - 1}: the {name} are not finite after this step; lower the method's learning "
                    "rate (lr_img) or the weights of its loss (ce_weight)"
                )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next iteration depends on, and what the artifact will hold: tensors, numbers, containers."""
        return {
            "iteration": self.iteration,
            "snapshots": self.snapshots,
            "algorithm": self.algorithm.state_dict(),
            "history": self.history.state_dict(),
            "divergence": None if self.divergence is None else self.divergence.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, with the same bits as if nothing had happened."""
        self.iteration, self.snapshots = state["iteration"], state["snapshots"]
        self.algorithm.load_state_dict(state["algorithm"])
        self.history.load_state_dict(state["history"])
        if self.divergence is not None and state.get("divergence") is not None:
            self.divergence.load_state_dict(state["divergence"])


def stored(synthetic: SyntheticSet) -> SyntheticSet:
    """A copy on the CPU that no further step changes."""
    copies: dict[str, Any] = {name: part.detach().to("cpu", copy=True) for name, part in synthetic.tensors().items()}
    return replace(synthetic, **copies)
