"""Cells and the paths of their artifacts: the interface between the workflow, the package and the user."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from bacon.runtime.errors import BaconError

DATA = "results/data/{dataset}.h5"
"""A prepared data set, by the name of its form; which one a cell uses, the plan says."""
WHITENED, PLAIN = "zca", "plain"
"""After the name of a data set and a hyphen: its form with or without ZCA whitening, where its own is the other one."""
TRAINED = "results/training/{dataset}/{training}/runs{first}-{last}.json"
TRAINED_RUN = "results/training/{dataset}/{training}/run{run}.h5"
DISTILLED = "results/distilled/{dataset}/{method}/ipc{ipc}/seed{seed}.h5"
EVALUATION = "results/evaluation/{dataset}/{method}/ipc{ipc}/seed{seed}/{network}.json"
EVALUATION_FULL = "results/evaluation/{dataset}/full/{network}.json"
EVALUATIONS = "results/evaluation/{dataset}/{method}/ipc{ipc}/seed{seed}.json"
EVALUATIONS_FULL = "results/evaluation/{dataset}/full.json"
DOWNSTREAM = "results/downstream"
"""Of each task, a folder with a file for each cell, or for each evaluation network of it."""
EVALUATE = "evaluate"
TABLES = "results/tables"
FIGURES = "results/figures"
DOWNLOADS = "resources/downloads"
LOGS = "results/logs"
CACHE = "results/.cache"
RECORDS = f"{CACHE}/evaluation"
"""Of trained networks, each by itself."""
FREE_RECORDS = f"{CACHE}/evaluation-free"
"""Those of networks that were trained with ``run.deterministic: false`` on a GPU."""
NETWORKS = f"{CACHE}/networks"
"""Weights of networks trained on cells, for downstream tasks; they may be deleted at any time."""
FREE_NETWORKS = f"{CACHE}/networks-free"
TASK_RECORDS = f"{CACHE}/downstream"
"""Of finished repetitions of downstream tasks, and of pieces of them."""
FREE_TASK_RECORDS = f"{CACHE}/downstream-free"
SHARED = f"{CACHE}/shared"
"""What jobs of downstream tasks share, such as corrupted test images; it may be deleted at any time."""
CHECKPOINTS = f"{CACHE}/checkpoints"
RUNNING = f"{CACHE}/running"

_CELL = re.compile(r"(?P<dataset>[^/]+)/(?P<method>[^/]+)/ipc(?P<ipc>\d+)/seed(?P<seed>\d+)")
_BLOCK = re.compile(r"(?P<dataset>[^/]+)/(?P<training>[^/]+)/runs(?P<first>\d+)-(?P<last>\d+)")
_FULL = re.compile(r"(?P<dataset>[^/]+)/full")


@dataclass(frozen=True, order=True)
class Cell:
    """One distilled set: data set x method x IPC x distillation seed; ``full`` has neither IPC nor seed."""

    dataset: str
    method: str
    ipc: int | None = None
    seed: int | None = None

    def __str__(self) -> str:
        return (
            f"{self.dataset}/full"
            if self.ipc is None
            else f"{self.dataset}/{self.method}/ipc{self.ipc}/seed{self.seed}"
        )

    @classmethod
    def parse(cls, text: str) -> Cell:
        """The cell named ``digits/bacon/ipc10/seed0`` or ``digits/full``; raises :class:`BaconError` otherwise."""
        if found := _CELL.fullmatch(text):
            return cls(found["dataset"], found["method"], int(found["ipc"]), int(found["seed"]))
        if found := _FULL.fullmatch(text):
            return cls(found["dataset"], "full")
        raise BaconError(
            f"cell {text!r} is not of the form DATASET/METHOD/ipcN/seedN, for example digits/bacon/ipc10/seed0"
        )

    def matches(self, pattern: str) -> bool:
        """Whether a pattern such as ``digits/*/ipc10/seed*`` or ``digits/bacon`` (all below it) names this cell."""
        return fnmatchcase(str(self), pattern) or fnmatchcase(str(self), f"{pattern}/*")

    @property
    def distilled_path(self) -> Path:
        """Path of the distilled set; the full data set has none."""
        return Path(DISTILLED.format(dataset=self.dataset, method=self.method, ipc=self.ipc, seed=self.seed))

    @property
    def distill_log(self) -> Path:
        """Log of the job that makes its distilled set."""
        return Path(LOGS) / "distill" / f"{self}.log"

    def evaluate_log(self, network: str = "") -> Path:
        """Log of the job that trains networks on it; without a name, of the one that evaluates it under several protocols."""
        folder = Path(LOGS) / "evaluate"
        return folder / str(self) / f"{network}.log" if network else folder / f"{self}.log"

    def downstream_path(self, task: str, network: str = "") -> Path:
        """Results of a downstream task on this cell, with an evaluation network or, without a name, for the cell as a whole."""
        folder = Path(DOWNSTREAM) / task
        return folder / str(self) / f"{network}.json" if network else folder / f"{self}.json"

    def downstream_log(self, task: str, network: str = "") -> Path:
        """Log of the job that makes them."""
        return Path(LOGS) / self.downstream_path(task, network).relative_to("results").with_suffix(".log")

    def downstream_running(self, task: str, network: str = "") -> Path:
        """Heartbeat of that job; with another suffix, its lock."""
        return Path(RUNNING) / self.downstream_path(task, network).relative_to("results")

    @property
    def checkpoint_folder(self) -> Path:
        """Folder of checkpoints of its distillation while it runs."""
        return Path(CHECKPOINTS) / str(self)

    def running_path(self, what: str) -> Path:
        """Heartbeat of the job that computes ``what`` of this cell: ``distill`` or the name of an evaluation network.

        ``evaluate`` is the job that evaluates it under several protocols. With another suffix, its lock.
        """
        return Path(RUNNING) / str(self) / f"{what}.json"

    def evaluation_path(self, network: str, protocol: str = "") -> Path:
        """File of the records of the networks trained on this cell: under `protocol` of the configuration, or another one."""
        pattern = EVALUATION_FULL if self.ipc is None else EVALUATION
        path = Path(
            pattern.format(dataset=self.dataset, method=self.method, ipc=self.ipc, seed=self.seed, network=network)
        )
        return path.parent / protocol / path.name

    @property
    def evaluations_path(self) -> Path:
        """Index of the evaluation files of this cell, where several protocols are configured."""
        pattern = EVALUATIONS_FULL if self.ipc is None else EVALUATIONS
        return Path(pattern.format(dataset=self.dataset, method=self.method, ipc=self.ipc, seed=self.seed))


@dataclass(frozen=True, order=True)
class RunBlock:
    """Training runs ``first`` to ``last`` of one need on one data set: what one job trains.

    Attributes:
        dataset: the data set.
        training: key of the need (``bacon.settings.training_need``).
        first: number of the first run.
        last: number of the last.
    """

    dataset: str
    training: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.dataset}/{self.training}/runs{self.first}-{self.last}"

    @classmethod
    def parse(cls, text: str) -> RunBlock:
        """The block named ``digits/convnet3-3f9c2a1b/runs0-4``; raises :class:`BaconError` otherwise."""
        found = _BLOCK.fullmatch(text)
        if found is None or int(found["first"]) > int(found["last"]):
            raise BaconError(
                f"training runs {text!r} are not of the form DATASET/KEY/runsN-M, for example digits/convnet3-3f9c2a1b/runs0-4"
            )
        return cls(found["dataset"], found["training"], int(found["first"]), int(found["last"]))

    @property
    def runs(self) -> range:
        """Numbers of its runs."""
        return range(self.first, self.last + 1)

    @property
    def path(self) -> Path:
        """Path of its index; the runs' files are next to it."""
        return Path(TRAINED.format(dataset=self.dataset, training=self.training, first=self.first, last=self.last))

    def run_path(self, run: int) -> Path:
        """Path of the file of a run."""
        return Path(TRAINED_RUN.format(dataset=self.dataset, training=self.training, run=run))

    @property
    def log(self) -> Path:
        """Log of the job that trains it."""
        return Path(LOGS) / "train" / f"{self}.log"

    @property
    def checkpoint_folder(self) -> Path:
        """Folder of checkpoints of the training while it runs."""
        return Path(CHECKPOINTS) / "training" / str(self)

    @property
    def running_path(self) -> Path:
        """Heartbeat of the job that trains it; with another suffix, its lock."""
        return Path(RUNNING) / "training" / str(self) / "train.json"
