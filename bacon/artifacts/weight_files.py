"""Weights of networks in training, a file for each run and epoch, until they go into the file of the finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bacon.artifacts.checked_file import DamagedFileError, read_checked, verify_checked, write_checked
from bacon.runtime.errors import BaconError

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class WeightFiles:
    """Weights in files of one folder, each named by run and epoch and known by its SHA-256.

    Attributes:
        folder: where the files lie.
        fingerprint: of the training.
    """

    folder: Path
    fingerprint: str

    def write(self, run: int, epoch: int, weights: Mapping[str, Tensor]) -> str:
        """Write weights atomically; returns their SHA-256. Raises ``OSError`` when the disk refuses them."""
        return write_checked(self._path(run, epoch), self._header(run, epoch), weights)

    def read(self, run: int, epoch: int, checksum: str) -> dict[str, Tensor]:
        """Weights on the CPU; raises :class:`BaconError` when they were damaged or removed while the job ran."""
        path = self._path(run, epoch)
        try:
            weights: dict[str, Tensor] = read_checked(path, expected=self._expected(run, epoch, checksum), device=_CPU)[
                1
            ]
        except DamagedFileError as error:
            raise BaconError(
                f"{path}: these weights were damaged or removed while the job ran: {error}; run snakemake again, "
                "which trains this run from the start"
            ) from None
        return weights

    def verify(self, run: int, checksums: Mapping[int, str]) -> None:
        """Raise :class:`DamagedFileError` when the weights of an epoch of a run are not whole."""
        for epoch, checksum in checksums.items():
            verify_checked(self._path(run, epoch), expected=self._expected(run, epoch, checksum))

    def remove(self, run: int) -> None:
        """Remove the files of a run."""
        for path in self.folder.glob(f"run{run}-*.weights"):
            path.unlink(missing_ok=True)

    def _path(self, run: int, epoch: int) -> Path:
        return self.folder / f"run{run}-{epoch:06d}.weights"

    def _header(self, run: int, epoch: int) -> dict[str, object]:
        return {"format": "bacon-weights", "fingerprint": self.fingerprint, "run": run, "epoch": epoch}

    def _expected(self, run: int, epoch: int, checksum: str) -> dict[str, object]:
        return {**self._header(run, epoch), "sha256": checksum}
