"""Checkpoints of a distillation: whole, verified, of exactly this cell, and few.

A file is a line of JSON (what it is, its size and SHA-256) and the state as PyTorch saves it. It lies outside the workflow's
declared outputs, which Snakemake deletes when a job fails, in a folder named by the cell's cumulative fingerprint.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bacon.runtime.atomic import atomic_path
from bacon.runtime.logs import get_logger

FORMAT = "bacon-checkpoint"
VERSION = 1
KEPT = 2

log = get_logger(__name__)


class DamagedCheckpointError(Exception):
    """A file that is not a whole checkpoint of the cell; the message says why."""


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
    """

    folder: Path
    fingerprint: str

    @property
    def own(self) -> Path:
        """Folder of this fingerprint."""
        return self.folder / self.fingerprint

    def paths(self) -> list[Path]:
        """This fingerprint's checkpoints, newest first."""
        return sorted(self.own.glob("*.ckpt"), reverse=True)

    def save(self, checkpoint: Checkpoint) -> bool:
        """Write a checkpoint and keep the newest :data:`KEPT`; ``False``, with a log line, when the disk refuses it."""
        try:
            with atomic_path(self.own / f"{checkpoint.iteration:09d}.ckpt") as temporary:
                temporary.write_bytes(self._encode(checkpoint))
            for path in self.paths()[KEPT:]:
                path.unlink(missing_ok=True)
        except OSError as error:
            log.warning(
                "checkpoint at iteration %d not written (%s): the one before it stays", checkpoint.iteration, error
            )
            return False
        log.info("checkpoint at iteration %d", checkpoint.iteration)
        return True

    def _encode(self, checkpoint: Checkpoint) -> bytes:
        buffer = io.BytesIO()
        torch.save(dict(checkpoint.state), buffer)
        payload = buffer.getvalue()
        header = {
            "format": FORMAT,
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "torch": torch.__version__,
            "iteration": checkpoint.iteration,
            "seconds": checkpoint.seconds,
            "bytes": len(payload),
            "sha256": hashlib.sha256(payload).hexdigest(),
        }
        return json.dumps(header).encode() + b"\n" + payload

    def load(self, device: torch.device) -> Checkpoint | None:
        """The newest whole checkpoint with its tensors on ``device``; others are set aside, each with a log line."""
        others = [path.name for path in sorted(self.folder.glob("*/")) if path != self.own]
        if others:
            log.info("checkpoints of other settings, data or code are not used: %s", ", ".join(others))
        for path in self.paths():
            try:
                found = read_checkpoint(path, fingerprint=self.fingerprint, device=device)
            except DamagedCheckpointError as error:
                log.warning("checkpoint %s is set aside: %s", path, error)
                path.replace(path.with_suffix(".damaged"))
            else:
                return found
        return None

    def remove(self) -> None:
        """Remove the cell's checkpoints, those of other settings included: its result is there."""
        shutil.rmtree(self.folder, ignore_errors=True)


def read_checkpoint(path: Path, *, fingerprint: str, device: torch.device) -> Checkpoint:
    """Read and verify a checkpoint.

    Raises:
        DamagedCheckpointError: it is not whole, or not of this fingerprint and this version of PyTorch.
    """
    try:
        head, _, payload = path.read_bytes().partition(b"\n")
        header = json.loads(head)
        expected = {
            "format": FORMAT,
            "version": VERSION,
            "fingerprint": fingerprint,
            # A result that two versions have computed could not be computed again.
            "torch": torch.__version__,
            "bytes": len(payload),
        }
        wrong = next((key for key, value in expected.items() if header[key] != value), None)
        iteration, seconds, checksum = header["iteration"], float(header["seconds"]), header["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpointError(f"it cannot be read ({error})") from None
    if wrong is not None:
        raise DamagedCheckpointError(f"its {wrong} is {header[wrong]}, expected {expected[wrong]}")
    if hashlib.sha256(payload).hexdigest() != checksum:
        raise DamagedCheckpointError("its checksum is wrong")
    state = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    return Checkpoint(iteration=iteration, seconds=seconds, state=state)
