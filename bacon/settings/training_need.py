"""Networks that are trained on the real set before anything uses them: teachers, experts, feature extractors. No torch.

What a need says of its networks is their key: cells whose methods need the same networks share them.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from bacon.runtime.errors import BaconError
from bacon.settings.network import NetworkSettings

if TYPE_CHECKING:
    from bacon.settings.recipe import TrainingRecipe

Kept = Literal["final", "snapshots", "history", "soft_labels"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_KEY_DIGITS = 8


@dataclass(frozen=True, kw_only=True)
class TrainingNeed:
    """Training runs on the real set, which every cell that needs the same ones shares.

    Attributes:
        name: what the method calls these networks: the key of its ``inputs``. It is no part of what they are.
        network: architecture.
        recipe: how each network is trained.
        runs: how many networks: run i (from 0) has the seed (0, i), so one more run changes no other.
        keep: what is stored of each: the ``final`` weights; ``snapshots``, the weights before training, after every
            ``snapshot_every`` epochs and at the end; ``history``, for each epoch which images were correct in their own
            batch; ``soft_labels``, the final network's logits of the training images.
        snapshot_every: epochs from one snapshot to the next.
        purpose: first part of the names of the streams of random numbers: needs of different purposes have different networks.
    """

    name: str
    network: NetworkSettings
    recipe: TrainingRecipe
    runs: int = 1
    keep: frozenset[Kept] = frozenset({"final"})
    snapshot_every: int = 1
    purpose: str = "training"

    def __post_init__(self) -> None:
        """Raise :class:`BaconError` for a need that no training can meet."""
        if not _NAME.fullmatch(self.name):
            raise BaconError(f"training need {self.name!r}: a name may hold a-z, 0-9, _, . and -")
        for key in ("runs", "snapshot_every"):
            if getattr(self, key) < 1:
                raise BaconError(f"training need {self.name!r}: {key} = {getattr(self, key)}; it must be at least 1")
        unknown = sorted(set(self.keep) - set(get_args(Kept)))
        if unknown or not self.keep:
            raise BaconError(
                f"training need {self.name!r}: keep = {', '.join(unknown) or 'nothing'}; it must be one or more of "
                f"{', '.join(get_args(Kept))}"
            )
        if self.recipe.labels == "teacher":
            raise BaconError(
                f"training need {self.name!r}: its recipe's labels come from a teacher; on the real set they are its classes: "
                "set labels to hard"
            )

    def identity(self) -> dict[str, Any]:
        """Everything that the networks depend on besides data and code, ready for JSON; not how many there are."""
        return {
            "network": self.network.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json"),
            "keep": sorted(self.keep),
            "snapshot_every": self.snapshot_every if "snapshots" in self.keep else None,
            "purpose": self.purpose,
        }

    @property
    def key(self) -> str:
        """Name in paths: the architecture and a hash of :meth:`identity`, such as ``convnet3-3f9c2a1b``."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        depth = self.network.depth if self.network.architecture == "convnet" else ""
        return f"{self.network.architecture}{depth}-{hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]}"

    def snapshot_epochs(self, epochs: int) -> tuple[int, ...]:
        """Epochs after which the weights are stored, 0 (untrained) and the last of ``epochs`` included."""
        if "snapshots" not in self.keep:
            return ()
        return tuple(sorted({*range(0, epochs, self.snapshot_every), epochs}))


def blocks(runs: int, per_job: int) -> tuple[tuple[int, int], ...]:
    """First and last run of each job that trains ``runs`` networks, at most ``per_job`` each."""
    return tuple((first, min(first + per_job, runs) - 1) for first in range(0, runs, per_job))
