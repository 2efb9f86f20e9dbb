"""Snapshots of a distillation: each in a file of its own from the moment it is made, in memory only while it is used.

They never change, so each is written once; checkpoints name them with their checksums. TinyImageNet at IPC 10 makes 1.1 GB
of them, which a job needs again only when it writes its artifact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from bacon.artifacts.checked_file import DamagedFileError, read_checked, verify_checked, write_checked
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger

log = get_logger(__name__)


class Snapshots(Mapping[int, SyntheticSet]):
    """Iteration -> the whole synthetic set at that iteration, on the CPU; reading one reads its file, verified.

    Args:
        folder: where the files lie.
        header: what each file says of itself besides its iteration.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        self._folder, self._header = folder, header
        self._checksums: dict[int, str] = {}  # of the files known to be on the disk
        self._held: dict[int, SyntheticSet] = {}  # those that the disk has refused

    def __setitem__(self, iteration: int, synthetic: SyntheticSet) -> None:
        """Write a snapshot, whose tensors are on the CPU; when the disk refuses it, it stays in memory, with a log line."""
        self._checksums.pop(iteration, None)
        self._held[iteration] = synthetic
        try:
            self._write(iteration)
        except OSError as error:
            log.warning("snapshot of iteration %d could not be written (%s) and is kept in memory", iteration, error)

    def __getitem__(self, iteration: int) -> SyntheticSet:
        """The set; raises :class:`BaconError` when their file is damaged or gone."""
        if iteration in self._held:
            return self._held[iteration]
        expected = self._expected(iteration, self._checksums[iteration])
        path = self._path(iteration)
        try:
            state = read_checked(path, expected=expected, device=torch.device("cpu"))[1]
        except DamagedFileError as error:
            raise BaconError(
                f"{path}: this snapshot of the synthetic set was damaged or removed while the job ran: {error}; "
                "run snakemake again: it resumes from a checkpoint that does not need it, or starts over"
            ) from None
        return SyntheticSet.from_state_dict(state)

    def __contains__(self, iteration: object) -> bool:
        return iteration in self._checksums or iteration in self._held

    def __iter__(self) -> Iterator[int]:
        return iter(sorted([*self._checksums, *self._held]))

    def __len__(self) -> int:
        return len(self._checksums) + len(self._held)

    def on_disk(self) -> dict[int, str]:
        """Iteration -> SHA-256 of every snapshot; those that the disk refused are written now, else ``OSError``."""
        for iteration in list(self._held):
            self._write(iteration)
        return {iteration: self._checksums[iteration] for iteration in self}

    def restore(self, checksums: Mapping[int, str]) -> None:
        """Become the snapshots that a checkpoint names; raises :class:`DamagedFileError` when one is not whole."""
        for iteration, checksum in checksums.items():
            try:
                verify_checked(self._path(iteration), expected=self._expected(iteration, checksum))
            except DamagedFileError as error:
                raise DamagedFileError(f"the snapshot of iteration {iteration} is damaged: {error}") from None
        self._checksums, self._held = dict(checksums), {}

    def _write(self, iteration: int) -> None:
        header = {**self._header, "iteration": iteration}
        state = self._held[iteration].state_dict()
        self._checksums[iteration] = write_checked(self._path(iteration), header, state)
        del self._held[iteration]

    def _path(self, iteration: int) -> Path:
        return self._folder / f"{iteration:09d}.snapshot"

    def _expected(self, iteration: int, checksum: str) -> dict[str, Any]:
        return {**self._header, "iteration": iteration, "sha256": checksum}
