"""Reading networks trained on the real set: the runs of one training need, each read when first needed.

An index (JSON) names the runs that one job has trained and the SHA-256 of their files beside it. The workflow only
knows the index, so a job that fails keeps the runs that it has finished.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.artifacts.training_run import (
    open_run,
    read_attributes,
    read_history,
    read_soft_labels,
    read_weights,
    snapshot_epochs,
)
from bacon.datasets.checksums import file_digest
from bacon.runtime.atomic import write_json
from bacon.runtime.errors import BaconError

FORMAT = "bacon-training"
VERSION = 1
_AGAIN = "run snakemake again: it trains that run again, and no other"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """One run in an index.

    Attributes:
        run: its number.
        file: name of its file, in the index's folder.
        bytes: size of the file.
        sha256: of the file.
        wall_seconds: time of its training.
        train_loss: mean loss of the batches of the last epoch.
        train_accuracy: share of the images that were classified correctly in those batches, in [0, 1].
        joules: that the device took during its training, divided among networks trained together; ``None``: unknown.
        energy_share: of the device's use that was the training's (``bacon.runtime.energy``); ``None``: unknown.
    """

    run: int
    file: str
    bytes: int
    sha256: str
    wall_seconds: float
    train_loss: float
    train_accuracy: float
    joules: float | None = None
    energy_share: float | None = None


def entry_of(path: Path, run: int, *, fingerprint: str) -> RunEntry:
    """What an index says of a run's file, read whole.

    Raises:
        BaconError: it is damaged, is another run, or has another fingerprint.
    """
    with open_run(path, fingerprint=fingerprint) as file:
        attributes = read_attributes(file)
        if attributes.get("run") != run:
            raise BaconError(f"{path}: holds run {attributes.get('run')}; delete it and {_AGAIN}")
        file.visititems(_read_whole)
    return RunEntry(
        run=run,
        file=path.name,
        bytes=path.stat().st_size,
        sha256=file_digest(path),
        wall_seconds=float(attributes["wall_seconds"]),
        train_loss=float(attributes["train_loss"]),
        train_accuracy=float(attributes["train_accuracy"]),
        joules=attributes.get("energy_joules"),
        energy_share=attributes.get("energy_share"),
    )


def _read_whole(_: str, item: h5py.Group | h5py.Dataset) -> None:
    """Read a data set chunk by chunk, which verifies its checksums."""
    if isinstance(item, h5py.Dataset):
        pieces = item.iter_chunks() if item.chunks else [()]
        for piece in pieces:
            item[piece]


def write_index(path: Path, content: Mapping[str, Any], runs: Sequence[RunEntry]) -> None:
    """Write the index of some runs atomically; ``content`` is everything but format, version and runs."""
    write_json(path, {"format": FORMAT, "version": VERSION, **content, "runs": [vars(entry) for entry in runs]})


def read_index(path: Path) -> dict[str, Any]:
    """An index as it was written, its ``runs`` as :class:`RunEntry`.

    Raises:
        BaconError: it is missing, damaged, or of another format or version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content["format"], content["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {content['format']} version {content['version']}")
        return {**content, "runs": [RunEntry(**entry) for entry in content["runs"]]}
    except FileNotFoundError:
        raise BaconError(
            f"{path}: the index of training runs is missing; run snakemake again, which writes it"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaconError(
            f"{path}: not a readable index of training runs ({error}); delete it and run snakemake again"
        ) from None


class TrainedRuns:
    """The runs of one training need; each file is verified when it is first read.

    Args:
        key: of the need.
        indexes: index files that name all of the runs between them.
        runs: how many runs are used: 0 to ``runs - 1``.
        fingerprint: of the training, which every run must carry.
        order: (N,) places in the data set's file of the images whose history and soft labels are given: the order in which the
            reader has its images; ``None``: the file's own.

    Raises:
        BaconError: an index is missing or of another training, or a run is in none of them.
    """

    def __init__(
        self,
        key: str,
        indexes: Iterable[Path],
        *,
        runs: int,
        fingerprint: str,
        order: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.key, self.fingerprint = key, fingerprint
        self._order = None if order is None else torch.from_numpy(order)
        self._files: dict[int, tuple[Path, RunEntry]] = {}
        for path in indexes:
            index = read_index(path)
            if index["training_fingerprint"] != fingerprint:
                raise BaconError(
                    f"{path}: out of date (fingerprint {index['training_fingerprint']}, the configuration needs "
                    f"{fingerprint}); run snakemake again, which computes it again"
                )
            self._files |= {entry.run: (path.parent / entry.file, entry) for entry in index["runs"]}
        self._count = runs
        if missing := sorted(set(range(runs)) - self._files.keys()):
            raise BaconError(
                f"training runs {missing} of {runs} are in no index; run snakemake again, which trains them"
            )
        self._verified: set[int] = set()

    def __len__(self) -> int:
        """Number of runs."""
        return self._count

    def entry(self, run: int) -> RunEntry:
        """What the index says of a run: loss and accuracy of its last epoch, its time."""
        return self._file(run)[1]

    def attributes(self, run: int) -> dict[str, Any]:
        """The attributes of a run's file; ``settings`` says what was trained and how."""
        return self._read(run, read_attributes)

    def epochs(self, run: int) -> tuple[int, ...]:
        """Epochs whose weights were kept, ascending, 0 (untrained) among them; empty where none were."""
        return self._read(run, snapshot_epochs)

    def weights(self, run: int) -> dict[str, Tensor]:
        """Parameters and buffers of a run after training, on the CPU."""
        return self._read(run, read_weights)

    def snapshot(self, run: int, epoch: int) -> dict[str, Tensor]:
        """Parameters and buffers of a run after ``epoch`` epochs, on the CPU; nothing else is read."""
        return self._read(run, lambda file: read_weights(file, epoch))

    def history(self, run: int) -> Tensor:
        """(E, N) bool: whether each image was classified correctly in its own batch of each epoch."""
        return self._ordered(self._read(run, read_history), dim=1)

    def soft_labels(self, run: int) -> Tensor:
        """(N, classes) float32: logits of the final network on the training images, not augmented."""
        return self._ordered(self._read(run, read_soft_labels), dim=0)

    def _ordered(self, values: Tensor, *, dim: int) -> Tensor:
        return values if self._order is None else values.index_select(dim, self._order)

    def _file(self, run: int) -> tuple[Path, RunEntry]:
        if not 0 <= run < self._count:
            raise BaconError(
                f"training run {run} does not exist; there are {self._count}, numbered 0 to {self._count - 1}"
            )
        return self._files[run]

    def _read(self, run: int, read: Callable[[h5py.File], T]) -> T:
        path, entry = self._file(run)
        if run not in self._verified:
            check_file(path, entry)
            self._verified.add(run)
        with open_run(path, fingerprint=self.fingerprint) as file:
            return read(file)


def training_costs(trainings: Iterable[TrainedRuns]) -> dict[str, dict[str, list[float | None]]]:
    """What the networks of some trainings cost, as files of what is made with them say it.

    Returns:
        Fingerprint of a training -> ``seconds``, ``joules`` and ``shares``, a value for each run from run 0; ``None``: unknown.
        Two needs that share a training are in it once, with the runs of the one that has more.
    """
    costs: dict[str, dict[str, list[float | None]]] = {}
    for runs in sorted(trainings, key=len):
        entries = [runs.entry(run) for run in range(len(runs))]
        costs[runs.fingerprint] = {
            "seconds": [entry.wall_seconds for entry in entries],
            "joules": [entry.joules for entry in entries],
            "shares": [entry.energy_share for entry in entries],
        }
    return costs


def check_file(path: Path, entry: RunEntry) -> None:
    """Raise :class:`BaconError` unless a run's file is the one that its index names."""
    if not path.is_file():
        raise BaconError(f"{path}: the training run is missing; {_AGAIN}")
    if path.stat().st_size != entry.bytes or file_digest(path) != entry.sha256:
        raise BaconError(f"{path}: damaged, or not the run that its index names; delete it and {_AGAIN}")


def forgetting_counts(history: Tensor) -> Tensor:
    """(N,) int64: how often each image of a history (E, N) was forgotten: correct in an epoch and wrong in the next.

    Images that were never correct are never forgotten; ``history.any(dim=0)`` tells them apart (Toneva et al., 2019).
    """
    return (history[:-1] & ~history[1:]).sum(dim=0)
