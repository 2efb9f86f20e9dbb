"""Time to accuracy: distil a cell on real data for a while, then train networks on what it had at each point of the clock.

The clock counts only distillation. A run resumes where the last one ended, so a long run can be split up. Test
accuracies are reported at every point that was asked for beforehand; nothing is chosen by them.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bacon.artifacts.checkpoint import Checkpoint, CheckpointStore
from bacon.datasets.store import ImageDataset, read_dataset
from bacon.distillation.engine import Engine
from bacon.distillation.real_images import RealImages
from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.train_and_test import train_and_test
from bacon.evaluation.trained_networks import image_set
from bacon.runtime.atomic import write_json
from bacon.training.batches import ImageSet
from bacon.transforms.partition import decode
from benchmarks.cells import Measured, engine_of
from benchmarks.machine import synchronise

_SAVE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        measured: the cell with its settings; the run ends at its last iteration if that comes first.
        data: the preprocessed data set.
        clock: seconds of distillation after which the images are evaluated, ascending.
        networks: networks trained at each point.
        folder: where state and records are kept.
        cpu_clock: count the process's CPU time per thread, for a machine that others use too; else wall time.
        limit: seconds after which this call stops; the next one goes on.
    """

    measured: Measured
    data: Path
    clock: tuple[float, ...]
    networks: int
    folder: Path
    cpu_clock: bool = False
    limit: float = float("inf")
    started: float = field(default_factory=time.monotonic)

    def over(self) -> bool:
        """Whether this call has used its time."""
        return time.monotonic() - self.started > self.limit

    def now(self, device: torch.device) -> float:
        """The clock of distillation."""
        synchronise(device)
        return time.process_time() / torch.get_num_threads() if self.cpu_clock else time.perf_counter()

    def key(self, dataset: ImageDataset) -> str:
        """Names the run: settings, cell, data and threads."""
        content = {
            "cell": str(self.measured.cell),
            "settings": self.measured.settings.model_dump(mode="json", by_alias=True),
            "data": dataset.fingerprint,
            "images": len(dataset.train_labels),
            "threads": torch.get_num_threads(),
            "cpu_clock": self.cpu_clock,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def measure(plan: Plan, device: torch.device, *, target: float | None = None) -> list[dict[str, Any]] | None:
    """One row for each point of the clock, in percent; ``None`` when the call's time is over before all are known.

    Args:
        plan: what is measured.
        device: where.
        target: test accuracy in percent; each row says whether its mean reaches it.
    """
    dataset = read_dataset(plan.data)
    points = distilled(plan, dataset, device)
    if points is None:
        return None
    rows = []
    for point in points:
        accuracies = tested(plan, dataset, point, device)
        if accuracies is None:
            return None
        rows.append(figures(point, accuracies, target))
    return rows


@dataclass(frozen=True, kw_only=True)
class Point:
    """Images at a point of the clock."""

    seconds: float
    iteration: int
    images: torch.Tensor


def distilled(plan: Plan, dataset: ImageDataset, device: torch.device) -> list[Point] | None:
    """The images at each point of the clock, the initial ones first; ``None`` when the call's time is over."""
    settings = plan.measured
    engine = engine_of(settings, RealImages(dataset, device=device), seed=seed_of(plan))
    initial = Point(seconds=0.0, iteration=0, images=engine.synthetic().images)
    store = CheckpointStore(folder=plan.folder / "state", fingerprint=plan.key(dataset))
    run = _Run(plan, engine, store)
    while not run.ended():
        run.step()
        if plan.over():
            run.save()
            return None
    run.save()
    reached = [
        Point(seconds=run.taken[iteration], iteration=iteration, images=engine.snapshots[iteration].images)
        for iteration in sorted(run.taken)
    ]
    return [initial, *reached]


class _Run:
    """A distillation with its clock; goes on from the newest saved state."""

    def __init__(self, plan: Plan, engine: Engine, store: CheckpointStore) -> None:
        self.plan, self.engine, self.store = plan, engine, store
        self.seconds, self.taken = 0.0, dict[int, float]()
        kept = store.load(engine.device)
        if kept is not None:
            engine.load_state_dict(kept.state)
            self.seconds, self.taken = kept.seconds, dict(kept.state["taken"])
        self._saved = time.monotonic()

    def ended(self) -> bool:
        last = self.engine.algorithm.iterations
        return self.seconds >= self.plan.clock[-1] or self.engine.iteration >= last

    def step(self) -> None:
        device = self.engine.device
        before, start = self.seconds, self.plan.now(device)
        self.engine.step()
        self.seconds += self.plan.now(device) - start
        if self.ended() or any(before < point <= self.seconds for point in self.plan.clock):
            engine = self.engine
            engine.snapshots[engine.iteration] = engine.synthetic()
            self.taken[engine.iteration] = self.seconds
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        self.engine.check()
        state = self.engine.state_dict() | {"taken": self.taken}
        self.store.save(Checkpoint(iteration=self.engine.iteration, seconds=self.seconds, state=state))
        self._saved = time.monotonic()


def seed_of(plan: Plan) -> int:
    """The cell's distillation seed."""
    return plan.measured.cell.seed or 0


def tested(
    plan: Plan, dataset: ImageDataset, point: Point, device: torch.device
) -> list[dict[str, float | None]] | None:
    """Accuracies of each network trained on the point's images, from the folder or computed; ``None``: time is over."""
    folder = plan.folder / "records" / plan.key(dataset)
    found = []
    for seed in range(plan.networks):
        path = folder / f"{point.iteration}-{seed}.json"
        if not path.is_file():
            if plan.over():
                return None
            write_json(path, _accuracies(plan, dataset, point, device, seed))
        found.append(json.loads(path.read_text(encoding="utf-8")))
    return found


def _accuracies(
    plan: Plan, dataset: ImageDataset, point: Point, device: torch.device, seed: int
) -> dict[str, float | None]:
    factor = plan.measured.matching.partition
    labels = torch.arange(len(dataset.class_names)).repeat_interleave(plan.measured.ipc * factor**2).to(device)
    held_out = None
    if dataset.validation_images is not None:
        held_out = image_set(dataset.validation_images, dataset.validation_labels, dataset, device)
    train = ImageSet.of_normalised(
        decode(point.images.to(device), factor).contiguous(),
        labels,
        mean=dataset.mean,
        std=dataset.std,
        whitened=dataset.whitening is not None,
    )
    outcome = train_and_test(
        NetworkTraining(
            train=train,
            network=plan.measured.settings.network,
            evaluation=plan.measured.settings.evaluation,
            classes=len(dataset.class_names),
            seed=(seed_of(plan), seed),
            validation=held_out,
        ),
        image_set(dataset.test_images, dataset.test_labels, dataset, device),
    )
    return {"test": outcome.test_accuracy, "validation": outcome.validation_accuracy}


def figures(point: Point, accuracies: Sequence[dict[str, float | None]], target: float | None) -> dict[str, Any]:
    """The figures of a point: mean and standard deviation over networks, in percent."""
    made: dict[str, Any] = {"seconds": point.seconds, "iteration": point.iteration, "networks": len(accuracies)}
    for split in ("test", "validation"):
        values = [100 * value for record in accuracies if (value := record[split]) is not None]
        if values:
            made[f"{split}_accuracy"] = statistics.mean(values)
            made[f"{split}_std"] = statistics.stdev(values) if len(values) > 1 else None
    if target is not None:
        made["reached"] = made["test_accuracy"] >= target
    return made


def seconds_to(rows: Sequence[dict[str, Any]]) -> float | None:
    """Seconds at the first point that reached the target; ``None``: none did."""
    return next((row["seconds"] for row in rows if row["reached"]), None)
