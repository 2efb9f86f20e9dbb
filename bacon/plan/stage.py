"""What a stage of the workflow is: a kind of job. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bacon.plan.headers import Header, read_header
from bacon.plan.plan import Plan
from bacon.plan.planned_artifact import PlannedArtifact


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage. Paths are relative to the working directory; times are in seconds.

    Attributes:
        name: in ``bacon status``, and of the input in the artifacts made from it.
        noun: what it makes, for messages.
        rules: pattern of the file that each of its Snakemake rules makes.
        gpus: GPUs that a job needs.
        folder: where its artifacts lie; files there that no plan expects are ``bacon prune``'s.
        artifacts: all of a plan.
        artifact: the one that wildcards name, in the grid or not.
        inputs: what an artifact is made from.
        settings: settings that an artifact is made by, as its header holds them.
        seconds: time of a job by the cost model.
        memory_mb: memory of a job by the cost model.
        log: a job's log.
        heartbeat: where a job says how far it is; its lock lies beside it. ``None``: it does not.
        checkpoints: folder of a job's checkpoints; ``None``: it writes none, and SLURM need not warn it.
        header: reads what an artifact says of itself.
        beside: files that a job leaves beside its artifact, which names them.
        indexes: patterns of ``rules`` where cells are evaluated under several protocols, if they differ.
    """

    name: str
    noun: str
    rules: Mapping[str, str]
    gpus: int
    folder: Path
    artifacts: Callable[[Plan], Iterator[PlannedArtifact]]
    artifact: Callable[[Plan, Mapping[str, str]], PlannedArtifact]
    inputs: Callable[[Plan, PlannedArtifact], tuple[PlannedArtifact, ...]]
    settings: Callable[[Plan, PlannedArtifact], dict[str, Any]]
    seconds: Callable[[Plan, PlannedArtifact], float]
    memory_mb: Callable[[Plan, PlannedArtifact], int]
    log: Callable[[PlannedArtifact], Path]
    heartbeat: Callable[[PlannedArtifact], Path] | None = None
    checkpoints: Callable[[PlannedArtifact], Path] | None = None
    header: Callable[[Path], Header] = read_header
    beside: Callable[[Plan, PlannedArtifact], tuple[Path, ...]] = lambda _plan, _artifact: ()
    indexes: Mapping[str, str] = field(default_factory=dict)
