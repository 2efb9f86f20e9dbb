"""Networks that a method needs trained on the real training set before it distils: teachers, experts, feature extractors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from bacon.runtime.errors import BaconError
from bacon.settings.network import NetworkSettings

if TYPE_CHECKING:
    from bacon.settings.recipe import TrainingRecipe  # type: ignore[import-not-found, unused-ignore]

Kept = Literal["final", "snapshots", "history", "soft_labels"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class TrainingNeed:
    """Training runs on the real set, which every cell that needs the same ones shares.

    Attributes:
        name: what the method calls these networks: the key of its ``inputs``, and a part of their path.
        network: architecture.
        recipe: how each network is trained.
        runs: how many networks, each with a seed of its own.
        keep: what is stored of each: the final weights, the weights after every epoch, for each image the epochs in which it
            was classified rightly, soft labels of the training images.
    """

    name: str
    network: NetworkSettings
    recipe: TrainingRecipe
    runs: int = 1
    keep: frozenset[Kept] = frozenset({"final"})

    def __post_init__(self) -> None:
        """Raise :class:`BaconError` for a need that no training can meet."""
        if not _NAME.fullmatch(self.name):
            raise BaconError(f"training need {self.name!r}: a name is a part of a path: a-z, 0-9, _, . and -")
        if self.runs < 1:
            raise BaconError(f"training need {self.name!r}: runs = {self.runs}; at least one network is trained")
        unknown = sorted(set(self.keep) - set(get_args(Kept)))
        if unknown or not self.keep:
            raise BaconError(
                f"training need {self.name!r}: keep = {', '.join(unknown) or 'nothing'}; it is one or more of "
                f"{', '.join(get_args(Kept))}"
            )
