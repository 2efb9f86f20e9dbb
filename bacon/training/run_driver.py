"""Train a block of runs on the real set: go on where an earlier job stopped, write each finished run, then the index."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bacon.artifacts.checked_file import DamagedFileError
from bacon.artifacts.checkpoint import Checkpoint, CheckpointStore
from bacon.artifacts.trained_runs import RunEntry, entry_of, write_index
from bacon.artifacts.training_run import TrainingRun, Weights, write_run
from bacon.artifacts.weight_files import WeightFiles
from bacon.datasets.store import ImageDataset, read_dataset
from bacon.runtime.devices import device_name, is_deterministic
from bacon.runtime.errors import BaconError
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.host_rows import Placement
from bacon.runtime.logs import get_logger
from bacon.runtime.memory import give_back_freed_memory
from bacon.runtime.progress import Progress
from bacon.runtime.provenance import peak_memory_bytes, provenance
from bacon.runtime.signals import Stop, deferred_stop
from bacon.settings.cells import RunBlock
from bacon.settings.training_need import TrainingNeed
from bacon.training.batches import IMAGES_AT_ONCE
from bacon.training.image_set import ImageSet
from bacon.training.loop import DivergedError
from bacon.training.real_set import RealSetRun, RunResult, run_seed, train_together

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class BlockJob:
    """What a job trains, and how it runs.

    Attributes:
        block: data set, need and runs.
        need: what is trained and kept.
        fingerprint: of the training, which each run carries, however many there are.
        block_fingerprint: of the index.
        data_fingerprint: that the data set must carry.
        data: the preprocessed data set.
        output: the index to write; the runs' files are next to it.
        device: where networks are trained.
        at_once: networks that are trained at the same time; changes no number.
        checkpoints: where the state of unfinished runs is kept.
        heartbeat: says how far the job is.
        checkpoint_seconds: seconds between checkpoints.
        progress_seconds: seconds between progress lines in a log.
        placement: where the real images are kept; changes no number.
    """

    block: RunBlock
    need: TrainingNeed
    fingerprint: str
    block_fingerprint: str
    data_fingerprint: str
    data: Path
    output: Path
    device: torch.device
    at_once: int
    checkpoints: CheckpointStore
    heartbeat: Heartbeat
    checkpoint_seconds: float
    progress_seconds: float
    placement: Placement = "auto"

    def run_path(self, run: int) -> Path:
        """Where the file of a run is written."""
        return self.output.with_name(self.block.run_path(run).name)


def train_block(job: BlockJob) -> None:
    """Train the runs of a block that are not there yet, and write the index of all of them.

    Raises:
        BaconError: the data set is damaged or not the one expected, the network does not fit its images, or training diverged.
    """
    entries = finished_runs(job)
    missing = [run for run in job.block.runs if run not in entries]
    log.info("%s: %d networks, %d of them already trained", job.block, len(job.block.runs), len(entries))
    if missing:
        for entry in _Trainer(job, missing, finished=len(entries)).entries():
            entries[entry.run] = entry
    content = {
        "fingerprint": job.block_fingerprint,
        "training_fingerprint": job.fingerprint,
        "data_fingerprint": job.data_fingerprint,
        "dataset": job.block.dataset,
        "training": job.block.training,
        "settings": job.need.identity(),
        "provenance": provenance(device_name(job.device), deterministic=is_deterministic(job.device)),
    }
    write_index(job.output, content, [entries[run] for run in job.block.runs])
    job.checkpoints.remove()
    job.heartbeat.remove()


def finished_runs(job: BlockJob) -> dict[int, RunEntry]:
    """Run -> its entry, of the runs whose files are there, whole and of this training; others are named in the log."""
    found = {}
    for run in job.block.runs:
        path = job.run_path(run)
        if path.exists():
            try:
                found[run] = entry_of(path, run, fingerprint=job.fingerprint)
            except BaconError as error:
                log.warning("run %d is trained again: %s", run, error)
    return found


class _Trainer:
    """Trains the missing runs of a job, some at a time.

    Args:
        job: the job.
        missing: numbers of the runs.
        finished: how many runs of the block are there.
    """

    def __init__(self, job: BlockJob, missing: Sequence[int], *, finished: int) -> None:
        self.job, self._missing, self._finished = job, missing, finished
        dataset = read_dataset(job.data, expected_fingerprint=job.data_fingerprint)
        self._classes = len(dataset.class_names)
        self._train = _real_set(dataset, job.device, job.placement)
        self._weights = WeightFiles(job.checkpoints.own, job.fingerprint)
        self._epochs = job.need.recipe.total_epochs(len(self._train))
        self._at_once, self._images_at_once = job.at_once, IMAGES_AT_ONCE
        self._states = self._resumed()

    def entries(self) -> Iterator[RunEntry]:
        """Train and write each run; yields its entry."""
        job = self.job
        done = sum(map(self._epoch, self._states))
        total = len(self._missing) * self._epochs
        with (
            Progress(
                f"train {job.block}", total, seconds=job.progress_seconds, done=done, heartbeat=job.heartbeat
            ) as progress,
            deferred_stop() as stop,
        ):
            # Those that were in training come first.
            waiting = [*self._states, *(run for run in self._missing if run not in self._states)]
            while waiting:
                # Runs that have come equally far; a job with another `at_once` may have left some behind.
                epoch = self._epoch(waiting[0])
                group = [run for run in waiting if self._epoch(run) == epoch][: self._at_once]
                for run in self._trained(group, progress, stop):
                    yield self._finish(run)
                waiting = [run for run in waiting if run not in group]

    def _epoch(self, run: int) -> int:
        return int(self._states[run]["training"]["epoch"]) if run in self._states else 0

    def _finish(self, run: RealSetRun) -> RunEntry:
        try:
            result = run.result()
        except DivergedError as error:
            raise DivergedError(f"{self.job.block}: {error}") from None
        entry = self._write(run.number, result)
        self._finished += 1
        return entry

    def _resumed(self) -> dict[int, Any]:
        """Run -> state of the runs that were in training when the last job ended."""
        kept = self.job.checkpoints.load(self.job.device)
        states: dict[int, Any] = {}
        for run, state in (kept.state["runs"] if kept is not None else {}).items():
            try:
                self._weights.verify(run, state["snapshots"])
            except DamagedFileError as error:
                log.warning(
                    "run %d is trained from the start, because a snapshot of its weights is damaged: %s", run, error
                )
            else:
                states |= {run: state} if run in self._missing else {}
        if states:
            log.info(
                "resumed runs %s", ", ".join(f"{run} at epoch {states[run]['training']['epoch']}" for run in states)
            )
        else:
            # What is left is of runs that are finished; it would stand above the checkpoints of those that are trained now.
            self.job.checkpoints.remove()
        return states

    def _trained(self, group: Sequence[int], progress: Progress, stop: Stop) -> list[RealSetRun]:
        """The runs of a group, trained; where the device's memory does not suffice, again with less of it."""
        try:
            return self._train_group(group, progress, stop)
        except torch.OutOfMemoryError:
            if len(group) == 1 and self._images_at_once == 1:
                raise
            if len(group) > 1:
                self._at_once = 1
            else:
                self._images_at_once //= 2
            log.warning(
                "out of device memory: from here on %d network(s) and %d images at a time",
                self._at_once,
                self._images_at_once,
            )
        # Out of the handler: the exception's frames hold the tensors that did not fit.
        torch.cuda.empty_cache()
        return [run for number in group for run in self._trained([number], progress, stop)]

    def _train_group(self, group: Sequence[int], progress: Progress, stop: Stop) -> list[RealSetRun]:
        runs = [self._run(number, together=len(group) > 1) for number in group]
        last = time.monotonic()

        def after_epoch() -> None:
            nonlocal last
            progress.advance(len(runs))
            if time.monotonic() - last >= self.job.checkpoint_seconds or stop.number is not None:
                self._save(runs)
                last = time.monotonic()
            if stop.number is not None:
                log.info("stopped by signal %d; the next run of this job continues", stop.number)
                sys.exit(stop.exit_status())

        self._settle()
        train_together(runs, after_epoch, lambda: self.job.heartbeat.part_used().joules)
        return runs

    def _run(self, number: int, *, together: bool) -> RealSetRun:
        run = RealSetRun(
            number,
            self.job.need,
            self._train,
            self._classes,
            self._weights.write,
            own_stream=together,
            images_at_once=self._images_at_once,
        )
        if number in self._states:
            run.load_state_dict(self._states[number])
        return run

    def _settle(self) -> None:
        """Wait for a GPU: what one stream has made is read on another."""
        if self.job.device.type == "cuda":
            torch.cuda.synchronize(self.job.device)

    def _save(self, runs: Sequence[RealSetRun]) -> None:
        """A checkpoint of the runs in training, and of those that wait with a state of their own."""
        self._settle()
        states = self._states | {run.number: run.state_dict() for run in runs}
        epochs = self._finished * self._epochs + sum(int(state["training"]["epoch"]) for state in states.values())
        checkpoint = Checkpoint(iteration=epochs, seconds=self.job.heartbeat.seconds(), state={"runs": states})
        self.job.checkpoints.save(checkpoint)
        give_back_freed_memory()

    def _write(self, number: int, result: RunResult) -> RunEntry:
        job, path = self.job, self.job.run_path(number)
        snapshots: Iterator[tuple[int, Weights]] = (
            (epoch, self._weights.read(number, epoch, checksum)) for epoch, checksum in result.snapshots.items()
        )
        run = TrainingRun(
            attributes=self._attributes(number, result),
            weights=result.weights,
            snapshots=snapshots,
            snapshot_epochs=tuple(result.snapshots),
            history=result.history,
            soft_labels=result.soft_labels,
        )
        write_run(path, run)
        self._states.pop(number, None)
        self._weights.remove(number)
        log.info(
            "wrote %s: train accuracy %.2f%%, loss %.4f, %.1f s", path, 100 * result.train_accuracy, result.train_loss,
            result.seconds,
        )  # fmt: skip
        return entry_of(path, number, fingerprint=job.fingerprint)

    def _attributes(self, number: int, result: RunResult) -> dict[str, Any]:
        job = self.job
        _, channels, size, _ = self._train.images.shape
        used = job.heartbeat.used()
        return {
            "dataset": job.block.dataset,
            "training": job.block.training,
            "run": number,
            "seed": list(run_seed(number)),
            "fingerprint": job.fingerprint,
            "data_fingerprint": job.data_fingerprint,
            "settings": job.need.identity(),
            "channels": channels,
            "size": size,
            "classes": self._classes,
            "images": len(self._train),
            "epochs": result.epochs,
            "train_loss": result.train_loss,
            "train_accuracy": result.train_accuracy,
            "wall_seconds": result.seconds,
            "peak_memory_bytes": max(used.peak_memory_bytes, peak_memory_bytes(job.device)),
            **replace(used, joules=result.joules).energy(),
            "device": device_name(job.device),
            "provenance": provenance(device_name(job.device), deterministic=is_deterministic(job.device)),
        }


def _real_set(dataset: ImageDataset, device: torch.device, placement: Placement) -> ImageSet:
    return ImageSet.of_uint8(
        dataset.train_images,
        dataset.train_labels,
        mean=dataset.mean,
        std=dataset.std,
        device=device,
        whitening=dataset.whitening,
        placement=placement,
    )
