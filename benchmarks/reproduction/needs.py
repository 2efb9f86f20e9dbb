"""The networks that a cell is distilled with and that are trained on the real set first: within a limit of time, resumable."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bacon.artifacts.trained_runs import entry_of
from bacon.jobs.training_job import run_training
from bacon.plan import cost
from bacon.plan.plan import Plan
from bacon.plan.trainings import PlannedTraining
from bacon.runtime.atomic import write_json
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell, RunBlock
from bacon.settings.training_need import TrainingNeed
from benchmarks.reproduction.target import Target

_CUT = 128 + signal.SIGUSR1
_LEDGER = "needs.json"


@dataclass(frozen=True, kw_only=True)
class NeedState:
    """How far the networks of a need are.

    Attributes:
        key: of the need.
        wanted: networks that the cell needs.
        trained: those that are finished.
        seconds: wall time of training so far, in all calls.
        predicted: what the cost model says of all of them, in seconds.
    """

    key: str
    wanted: int
    trained: int
    seconds: float
    predicted: float

    @property
    def finished(self) -> bool:
        """Whether the cell can be distilled, as far as this need goes."""
        return self.trained == self.wanted

    @property
    def whole(self) -> float | None:
        """Seconds of all of them, from those that are finished; ``None`` before there is one."""
        return self.seconds * self.wanted / self.trained if self.trained else None


def train_needs(target: Target, *, limit: float | None) -> list[NeedState]:
    """Train the networks that a cell needs and that are not there.

    Args:
        target: the cell.
        limit: seconds after which training stops, saved, for all needs together; ``None``: it does not.

    Returns:
        One state a need; all of them finished unless the limit was reached.

    Raises:
        BaconError: the network does not fit the images, or training diverged.
    """
    end = float("inf") if limit is None else time.monotonic() + limit
    for plan, need in target.needs:
        training = plan.training_of(plan.data_name(target.cell), need)
        started = time.monotonic()
        try:
            _train(plan, target.data, training, need, end)
        finally:
            _book(target.plan.directory, training.fingerprint, time.monotonic() - started)
    return [_state(plan, target.cell, need) for plan, need in target.needs]


def _train(plan: Plan, data: Path, training: PlannedTraining, need: TrainingNeed, end: float) -> None:
    directory, threads = plan.directory, plan.config.run.threads
    for block in training.blocks_with(need.runs):
        left = end - time.monotonic()
        if left <= 0:
            return
        if _is_there(directory / block.path, training.block_fingerprint(block)):
            continue
        with _stopping_after(left):
            run_training(plan, block, data=data, output=directory / block.path, threads=threads)


@contextmanager
def _stopping_after(seconds: float) -> Iterator[None]:
    """Ask the work inside to stop after some time, by the signal on which jobs save their state and end."""

    def cut(*_: object) -> None:  # while nothing defers it
        raise SystemExit(_CUT)

    def ask(_: int, __: FrameType | None) -> None:
        signal.raise_signal(signal.SIGUSR1)

    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGALRM)}
    signal.signal(signal.SIGUSR1, cut)
    signal.signal(signal.SIGALRM, ask)
    if seconds != float("inf"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except SystemExit as stopped:
        if stopped.code != _CUT:
            raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _state(plan: Plan, cell: Cell, need: TrainingNeed) -> NeedState:
    training = plan.training_of(plan.data_name(cell), need)
    blocks = training.blocks_with(need.runs)
    trained = [run for block in blocks for run in _finished(plan, training, block) if run < need.runs]
    return NeedState(
        key=need.key,
        wanted=need.runs,
        trained=len(trained),
        seconds=_ledger(plan.directory).get(training.fingerprint, 0.0),
        predicted=sum(cost.training_seconds(plan, training, block) for block in blocks),
    )


def _finished(plan: Plan, training: PlannedTraining, block: RunBlock) -> list[int]:
    """Runs of a block that are trained; of one that was cut, which has no index yet, those whose files are whole."""
    if _is_there(plan.directory / block.path, training.block_fingerprint(block)):
        return list(block.runs)
    return [run for run in block.runs if _is_whole(plan.directory / block.run_path(run), run, training.fingerprint)]


def _is_whole(path: Path, run: int, fingerprint: str) -> bool:
    try:
        entry_of(path, run, fingerprint=fingerprint)
    except (BaconError, OSError):
        return False
    return True


def _is_there(index: Path, fingerprint: str) -> bool:
    try:
        return bool(json.loads(index.read_text(encoding="utf-8"))["fingerprint"] == fingerprint)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _ledger(directory: Path) -> dict[str, float]:
    """Fingerprint of a training -> seconds that it has taken."""
    try:
        return dict(json.loads((directory / _LEDGER).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _book(directory: Path, fingerprint: str, seconds: float) -> None:
    known = _ledger(directory)
    write_json(directory / _LEDGER, known | {fingerprint: known.get(fingerprint, 0.0) + seconds})
