"""The state of every job of a plan, read from its files, also while Snakemake runs here or on a cluster. No torch."""

from __future__ import annotations

import platform
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bacon.config.setting_errors import flatten
from bacon.operations.failures import last_error
from bacon.plan import cost
from bacon.plan.headers import Header, read_header, training_input
from bacon.plan.inventory import read_artifacts
from bacon.plan.machine import START_SECONDS
from bacon.plan.plan import Plan
from bacon.plan.planned_artifact import PlannedArtifact, evaluation_artifact
from bacon.plan.stages import STAGES, evaluations_of, stage_of
from bacon.runtime.heartbeat import JobProgress, read_progress
from bacon.runtime.job_lock import is_held
from bacon.settings.cells import Cell

State = Literal["done", "stale", "running", "failed", "stopped", "waiting"]

_SILENT_INTERVALS = 6
_SILENT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job and its state.

    Attributes:
        stage: name of the stage (``bacon.plan.stages``).
        name: what it belongs to: the data set or the cell.
        network: evaluation network, or empty.
        state: ``done``; ``stale``: made from something else; ``running``; ``failed``: its last run ended with an error;
            ``stopped``: its last run was stopped or killed, the next continues; ``waiting``: not made yet.
        detail: why it is stale, how far it is, or what the error says.
        log: its log file, if there is one.
        seconds_left: estimated time that is left: of computing, and of the start of a job that has not begun to compute.
        fraction: share that is done, in [0, 1].
    """

    stage: str
    name: str
    network: str
    state: State
    detail: str = ""
    log: str = ""
    seconds_left: float = 0.0
    fraction: float = 0.0


@dataclass(frozen=True)
class Status:
    """The jobs of a plan, and what is left."""

    jobs: list[Job] = field(default_factory=list)
    training_bytes: int = 0
    """Bytes that the networks trained on real sets take on the disk when all are there."""
    measured: bool = True
    """Whether times left follow from jobs that computed here; if not, from assumed rates of ``assumed_device``."""
    assumed_device: str = "a GPU"

    @property
    def counts(self) -> dict[str, int]:
        """State -> number of jobs."""
        return dict(Counter(job.state for job in self.jobs))

    @property
    def seconds_left(self) -> float:
        """Estimated time of everything that is not done, jobs' starts with it, in device-seconds."""
        return sum(job.seconds_left for job in self.jobs)

    @property
    def running(self) -> int:
        """Jobs that run now."""
        return self.counts.get("running", 0)


def read_status(plan: Plan) -> Status:
    """The state of every artifact of a plan."""
    artifacts = read_artifacts(plan)
    factors = _measured_factors(plan, artifacts)
    jobs = [_job(plan, artifact, header, factors) for artifact, header in artifacts]
    stored = sum(cost.stored_bytes(plan, training) for training in plan.trainings.values())
    measured = any(STAGES[name].heartbeat is not None for name in factors)
    device = "a CPU thread" if plan.config.run.device == "cpu" else "a GPU"
    return Status(jobs, stored, measured=measured, assumed_device=device)


def _job(plan: Plan, artifact: PlannedArtifact, header: Header | None, factors: dict[str, float]) -> Job:
    stage = stage_of(artifact)
    log = stage.log(artifact)
    estimate = stage.seconds(plan, artifact) * factors.get(stage.name, 1.0)
    state, detail, fraction, left = _state(plan, artifact, header, log)
    if left is None:
        left = 0.0 if state == "done" else START_SECONDS + estimate * (1 - fraction)
    there = str(log) if (plan.directory / log).exists() else ""
    return Job(
        stage=stage.name, name=artifact.name, network=artifact.network, state=state, detail=detail,
        log=there if state != "done" else "", seconds_left=left, fraction=fraction,
    )  # fmt: skip


def _state(
    plan: Plan, artifact: PlannedArtifact, header: Header | None, log: Path
) -> tuple[State, str, float, float | None]:
    """State, detail, share done and time left (``None``: not known from the job itself)."""
    said, alive = _life(plan, artifact)
    if alive and said is None:
        return "running", "starting", 0.0, None
    if alive and said is not None:
        return "running", _progress(said), said.done / max(said.total, 1), said.seconds_left
    if header is not None and header.fingerprint == artifact.fingerprint:
        return "done", "", 1.0, None
    if error := last_error(plan.directory / log):
        return "failed", error, 0.0, None
    if said is not None and said.fingerprint == artifact.fingerprint:
        return "stopped", f"at {said.done}/{said.total}; the next run continues", said.done / max(said.total, 1), None
    if header is not None:
        return "stale", why_stale(plan, artifact, header), 0.0, None
    return "waiting", "", 0.0, None


def _life(plan: Plan, artifact: PlannedArtifact) -> tuple[JobProgress | None, bool]:
    """What the job said last, and whether it still lives."""
    heartbeat = stage_of(artifact).heartbeat
    if heartbeat is None:
        return None, False
    path = plan.directory / heartbeat(artifact)
    said = read_progress(path)
    if is_held(path.with_suffix(".lock")):
        return said, True
    # A node of a cluster: its lock may not be visible here, what it wrote is.
    elsewhere = said is not None and said.host != platform.node()
    silence = max(_SILENT_SECONDS, _SILENT_INTERVALS * said.interval) if said else 0.0
    return said, bool(said and elsewhere and abs(time.time() - said.updated) < silence)


def _progress(said: JobProgress) -> str:
    text = f"{said.done}/{said.total} ({100 * said.done / max(said.total, 1):.0f}%), {said.rate:.3g}/s"
    if said.seconds_left is not None:
        text += f", {duration(said.seconds_left)} left"
    return f"{text}, {said.host}" + (f" SLURM job {said.slurm_job}" if said.slurm_job else "")


def why_stale(plan: Plan, artifact: PlannedArtifact, header: Header) -> str:
    """Which setting, input or code differs from what the artifact was made from."""
    if header.fingerprint is None:
        return "the file is damaged"
    stage = stage_of(artifact)
    inputs = stage.inputs(plan, artifact)
    if header.evaluations:
        return _why_evaluations(plan, artifact, header)
    if changes := _changed_settings(stage.settings(plan, artifact), header.settings):
        return "; ".join(changes)
    if upgraded := [
        f"{name}: {old} -> {now}"
        for name, now in plan.packages.items()
        if (old := header.packages.get(name, now)) != now
    ]:
        return f"another version of {'; '.join(upgraded)}"
    for made_from in inputs:
        name, fingerprint = _as_input(plan, made_from)
        if header.inputs.get(name) != fingerprint:
            return f"the {stage_of(made_from).noun} changed"
    return "the code changed" if inputs else "settings, source or code changed"


def _why_evaluations(plan: Plan, artifact: PlannedArtifact, header: Header) -> str:
    """Which protocols of a cell's evaluations are new or differ, each with its reason."""
    assert artifact.cell is not None
    reasons: dict[str, list[str]] = {}
    for each, network in evaluations_of(plan, artifact):
        path = each.evaluation_path(artifact.cell, network)
        made = header.evaluations.get(str(path.relative_to(artifact.path.parent)))
        one = evaluation_artifact(each, artifact.cell, network)
        if made != one.fingerprint:
            found = read_header(plan.directory / path) if made else None
            reason = "not evaluated yet" if found is None else why_stale(each, one, found)
            reasons.setdefault(reason, []).append(each.config.protocol)
    named = [f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in reasons.items()]
    return "; ".join(named) or "a protocol is no longer in the grid"


def _as_input(plan: Plan, made_from: PlannedArtifact) -> tuple[str, str]:
    """Name and fingerprint of an input in the header of what is made from it; of training runs, whichever job trained them."""
    if made_from.block is None:
        return made_from.stage, made_from.fingerprint
    training = plan.training(made_from.block.dataset, made_from.block.training)
    return training_input(made_from.block.training), training.fingerprint


def _changed_settings(now: dict[str, Any], made_by: dict[str, Any]) -> list[str]:
    before = {key: value for key, value in made_by.items() if key in now}
    then, current = dict(flatten(before)), dict(flatten(now))
    return [
        f"{'.'.join(key)}: {then.get(key)} -> {current.get(key)}"
        for key in sorted({*then, *current})
        if then.get(key) != current.get(key)
    ]


def _measured_factors(plan: Plan, artifacts: list[tuple[PlannedArtifact, Header | None]]) -> dict[str, float]:
    """Measured over assumed time, by stage, from what is done.

    A stage of networks of which nothing is done takes the factor of the others together; none is there as long as no stage of
    networks has anything done.
    """
    times: dict[str, tuple[float, float]] = {}
    for artifact, header in artifacts:
        if header and header.fingerprint == artifact.fingerprint:
            assumed, took = times.get(artifact.stage, (0.0, 0.0))
            times[artifact.stage] = assumed + stage_of(artifact).seconds(plan, artifact), took + header.seconds
    networks = [name for name, stage in STAGES.items() if stage.heartbeat is not None]
    factors = {name: took / assumed for name, (assumed, took) in times.items() if assumed > 0}
    if known := [times[name] for name in networks if name in factors]:
        assumed, took = (sum(each) for each in zip(*known, strict=True))
        factors = dict.fromkeys(networks, took / assumed) | factors
    return factors


def duration(seconds: float) -> str:
    """A time for people: ``45 s``, ``12 min``, ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: int) -> str:
    """A number of bytes for people: ``2.6 MB``, ``6.4 GB``."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"


def training_rows(plan: Plan, cell: Cell) -> list[tuple[str, str, str, str]]:
    """What a cell needs trained on the real set: name and key, number of runs, what is kept, bytes that these take."""
    evaluations = plan.all_evaluation_needs(cell)
    needs = evaluations if cell.ipc is None else [*plan.needs(cell), *evaluations]
    found = []
    for need in {(need.name, need.key, need.runs): need for need in needs}.values():
        alone = replace(plan.training_of(plan.data_name(cell), need), need=need)
        kept, bytes_text = ", ".join(sorted(need.keep)), size(cost.stored_bytes(plan, alone))
        found.append((f"{need.name} {need.key}", str(need.runs), kept, bytes_text))
    return found
