"""Checkpoints of a distillation: whole, verified, of exactly this cell, and few.

A file is a line of JSON (what it is, its size and SHA-256) and the state as PyTorch saves it. It lies outside the workflow's
declared outputs, which Snakemake deletes when a job fails, in a folder named by the cell's cumulative fingerprint.

Snapshots have files of their own (``bacon.artifacts.snapshots``), written when they are made; a checkpoint names them with
their checksums. Files are written and read piece by piece: a state of gigabytes is never in memory twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bacon.artifacts.checked_file import DamagedFileError, read_checked, write_checked
from bacon.artifacts.snapshots import Snapshots
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.runtime.logs import get_logger

FORMAT = "bacon-checkpoint"
VERSION = 3
KEPT = 2

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A state, and the wall time in seconds of all parts of the job until then."""

    iteration: int
    seconds: float
    state: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CheckpointStore:
    """The checkpoints of one cell.

    Attributes:
        folder: of the cell, whatever its settings; each fingerprint has a folder in it.
        fingerprint: cumulative fingerprint of the cell's settings, data and code.
        deterministic: whether what is computed has the same bits in every run; a state of the one is not continued as the
            other, or the result would be neither.
    """

    folder: Path
    fingerprint: str
    deterministic: bool = True

    @property
    def own(self) -> Path:
        """Folder of this fingerprint."""
        return self._own(deterministic=self.deterministic)

    def _own(self, *, deterministic: bool) -> Path:
        return self.folder / (self.fingerprint if deterministic else f"{self.fingerprint}-free")

    @cached_property
    def snapshots(self) -> Snapshots:
        """This fingerprint's snapshots: none until one is added, or a checkpoint that names some is loaded."""
        return Snapshots(self.own, self._header())

    def paths(self) -> list[Path]:
        """This fingerprint's whole checkpoints, newest first; what a killed job was still writing has another beginning."""
        return sorted(self.own.glob("[0-9]*.ckpt"), reverse=True)

    def save(self, checkpoint: Checkpoint) -> bool:
        """Write a checkpoint and keep the newest :data:`KEPT`; ``False``, with a log line, when the disk refuses it."""
        state = dict(checkpoint.state)
        try:
            snapshots = self._written(state.pop("snapshots", {}))
            header = self._header(iteration=checkpoint.iteration, seconds=checkpoint.seconds, snapshots=snapshots)
            write_checked(self.own / f"{checkpoint.iteration:09d}.ckpt", header, state)
            for path in self.paths()[KEPT:]:
                path.unlink(missing_ok=True)
        except OSError as error:
            log.warning(
                "checkpoint at iteration %d could not be written (%s); the previous one is kept",
                checkpoint.iteration,
                error,
            )
            return False
        log.info("checkpoint at iteration %d", checkpoint.iteration)
        return True

    def _header(self, **more: Any) -> dict[str, Any]:
        # A result that two versions have computed could not be computed again.
        known = {"format": FORMAT, "version": VERSION, "fingerprint": self.fingerprint, "torch": torch.__version__}
        return known | more

    def _written(self, snapshots: Mapping[int, SyntheticSet]) -> dict[str, str]:
        """Iteration -> SHA-256 of the snapshots, those that a state kept in memory included."""
        for iteration in snapshots:
            if iteration not in self.snapshots:
                self.snapshots[iteration] = snapshots[iteration]
        checksums = self.snapshots.on_disk()
        return {str(iteration): checksums[iteration] for iteration in snapshots}

    def load(self, device: torch.device) -> Checkpoint | None:
        """The newest whole checkpoint with its tensors on ``device``; others are set aside, each with a log line.

        Its snapshots are :attr:`snapshots`, verified, and stay on the disk.
        """
        other_value = self._own(deterministic=not self.deterministic)
        others = [path.name for path in sorted(self.folder.glob("*/")) if path not in (self.own, other_value)]
        if any(other_value.glob("[0-9]*.ckpt")):
            value = str(not self.deterministic).lower()
            log.warning("checkpoints made with run.deterministic: %s are not continued with the other value", value)
        if others:
            log.info("checkpoints of other settings, data or code are not used: %s", ", ".join(others))
        for path in self.paths():
            try:
                return self._read(path, device)
            except DamagedFileError as error:
                log.warning("checkpoint %s is set aside: %s", path, error)
                path.replace(path.with_suffix(".damaged"))
        return None

    def _read(self, path: Path, device: torch.device) -> Checkpoint:
        header, state = read_checked(path, expected=self._header(), device=device)
        try:
            iteration, seconds = int(header["iteration"]), float(header["seconds"])
            checksums = {int(key): str(checksum) for key, checksum in header["snapshots"].items()}
        except (KeyError, ValueError, AttributeError, TypeError) as error:
            raise DamagedFileError(f"it cannot be read ({error})") from None
        self.snapshots.restore(checksums)
        return Checkpoint(iteration=iteration, seconds=seconds, state={**state, "snapshots": self.snapshots})

    def remove(self) -> None:
        """Remove the cell's checkpoints, those of other settings included: its result is there."""
        shutil.rmtree(self.folder, ignore_errors=True)
