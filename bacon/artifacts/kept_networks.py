"""Weights of the networks that a cell's protocol trains, kept for the downstream tasks that all test the same networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bacon.artifacts.checked_file import DamagedFileError, read_checked, write_checked
from bacon.runtime.logs import get_logger

log = get_logger(__name__)
_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class KeptNetworks:
    """Weights in ``folder/{fingerprint}/{name}.weights``, a file for each network.

    Attributes:
        folder: that holds them all.
        fingerprint: of what all networks of the cell share.
        own: what those of one augmentation depend on besides: the digest of its code; empty: nothing.
    """

    folder: Path
    fingerprint: str
    own: str = ""

    def load(self, name: str) -> dict[str, Tensor] | None:
        """Weights on the CPU; ``None`` where there are none, or damaged ones, which the log names."""
        path = self._path(name)
        if not path.exists():
            return None
        try:
            weights: dict[str, Tensor] = read_checked(path, expected=self._header(name), device=_CPU)[1]
        except DamagedFileError as error:
            log.warning("%s cannot be used (%s); the network will be trained again", path, error)
            return None
        return weights

    def store(self, name: str, weights: Mapping[str, Tensor]) -> None:
        """Write weights atomically; a disk that refuses them costs a further training, no result."""
        try:
            self._path(name).parent.mkdir(parents=True, exist_ok=True)
            write_checked(self._path(name), self._header(name), weights)
        except OSError as error:
            log.warning("could not keep a trained network (%s); other downstream tasks train it again", error)

    def _path(self, name: str) -> Path:
        return self.folder / self.fingerprint / f"{name}.weights"

    def _header(self, name: str) -> dict[str, object]:
        return {"format": "bacon-network", "fingerprint": self.fingerprint, "own": self.own, "network": name}
