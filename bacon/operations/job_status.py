"""The state of every job of a plan, from the files alone: it reads while Snakemake runs, here or on a cluster. No torch."""

from __future__ import annotations

import platform
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bacon.config.setting_errors import flatten
from bacon.plan import cost
from bacon.plan.inventory import Expected, Header, Inventory, expected_artifacts
from bacon.plan.plan import Plan
from bacon.runtime.heartbeat import Beat, read_beat
from bacon.runtime.job_lock import is_held
from bacon.settings.cells import LOGS

State = Literal["done", "stale", "running", "failed", "stopped", "waiting"]

_ERROR = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL) (.+)$", re.MULTILINE)
_SILENT_BEATS = 6
_SILENT_SECONDS = 60.0
_LOG_BYTES = 20_000


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job and its state.

    Attributes:
        stage: ``data``, ``distill`` or ``evaluate``.
        name: the data set or the cell.
        network: evaluation network, or empty.
        state: ``done``; ``stale``: made from something else; ``running``; ``failed``: its last run ended with an error;
            ``stopped``: its last run was stopped or killed, the next continues; ``waiting``: not made yet.
        detail: why it is stale, how far it is, or what the error says.
        log: its log file, where there is one.
        seconds_left: estimated computing time that is left.
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

    @property
    def counts(self) -> dict[str, int]:
        """State -> number of jobs."""
        return dict(Counter(job.state for job in self.jobs))

    @property
    def seconds_left(self) -> float:
        """Estimated computing time of everything that is not done, in device-seconds."""
        return sum(job.seconds_left for job in self.jobs)

    @property
    def running(self) -> int:
        """Jobs that run now."""
        return self.counts.get("running", 0)


def read_status(plan: Plan) -> Status:
    """The state of every data set, distillation and evaluation of a plan."""
    inventory = Inventory(plan.directory)
    artifacts = [(expected, inventory.header(expected.path)) for expected in expected_artifacts(plan)]
    inventory.save()
    factors = _measured_factors(plan, artifacts)
    return Status([_job(plan, expected, header, factors) for expected, header in artifacts])


def _job(plan: Plan, expected: Expected, header: Header | None, factors: dict[str, float]) -> Job:
    name = str(expected.cell) if expected.cell else expected.path.stem
    log = _log_path(expected)
    estimate = assumed_seconds(plan, expected) * factors[expected.stage]
    state, detail, fraction, left = _state(plan, expected, header, log)
    if left is None:
        left = 0.0 if state == "done" else estimate * (1 - fraction)
    there = str(log) if (plan.directory / log).exists() else ""
    return Job(
        stage=expected.stage, name=name, network=expected.network, state=state, detail=detail,
        log=there if state != "done" else "", seconds_left=left, fraction=fraction,
    )  # fmt: skip


def _state(plan: Plan, expected: Expected, header: Header | None, log: Path) -> tuple[State, str, float, float | None]:
    """State, detail, share done and time left (``None``: not known from the job itself)."""
    beat, alive = _life(plan, expected)
    if alive and beat is None:
        return "running", "starting", 0.0, None
    if alive and beat is not None:
        return "running", _progress(beat), beat.done / max(beat.total, 1), beat.seconds_left
    if header is not None and header.fingerprint == expected.fingerprint:
        return "done", "", 1.0, None
    if error := _last_error(plan.directory / log):
        return "failed", error, 0.0, None
    if beat is not None and beat.fingerprint == expected.fingerprint:
        return "stopped", f"at {beat.done}/{beat.total}; the next run continues", beat.done / max(beat.total, 1), None
    if header is not None:
        return "stale", why_stale(plan, expected, header), 0.0, None
    return "waiting", "", 0.0, None


def _life(plan: Plan, expected: Expected) -> tuple[Beat | None, bool]:
    """The last sign of life of the job, and whether it still lives."""
    if expected.cell is None:
        return None, False
    path = plan.directory / expected.cell.running_path(expected.network or "distill")
    beat = read_beat(path)
    if is_held(path.with_suffix(".lock")):
        return beat, True
    # A node of a cluster: its lock may not be visible here, its beat is.
    elsewhere = beat is not None and beat.host != platform.node()
    patience = max(_SILENT_SECONDS, _SILENT_BEATS * beat.interval) if beat else 0.0
    return beat, bool(beat and elsewhere and abs(time.time() - beat.updated) < patience)


def _progress(beat: Beat) -> str:
    text = f"{beat.done}/{beat.total} ({100 * beat.done / max(beat.total, 1):.0f}%), {beat.rate:.3g}/s"
    if beat.seconds_left is not None:
        text += f", {duration(beat.seconds_left)} left"
    return f"{text}, {beat.host}" + (f" SLURM job {beat.slurm_job}" if beat.slurm_job else "")


def _last_error(log: Path) -> str:
    """The last error line of a log, or an empty text."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    found = _ERROR.findall(text)
    return found[-1] if found else ""


def _log_path(expected: Expected) -> Path:
    if expected.cell is None:
        return Path(LOGS) / "preprocess" / f"{expected.path.stem}.log"
    if expected.stage == "distill":
        return expected.cell.distill_log
    return expected.cell.evaluate_log(expected.network)


def why_stale(plan: Plan, expected: Expected, header: Header) -> str:
    """Which setting, input or code differs from what the artifact was made from."""
    if header.fingerprint is None:
        return "the file is damaged"
    now = _settings_now(plan, expected)
    before = {key: value for key, value in header.settings.items() if key in now}
    then, current = dict(flatten(before)), dict(flatten(now))
    changes = [
        f"{'.'.join(key)}: {then.get(key)} -> {current.get(key)}"
        for key in sorted({*then, *current})
        if then.get(key) != current.get(key)
    ]
    if changes:
        return "; ".join(changes)
    upgraded = [
        f"{name}: {old} -> {now}"
        for name, now in plan.packages.items()
        if (old := header.packages.get(name, now)) != now
    ]
    if upgraded:
        return f"another version of {'; '.join(upgraded)}"
    if expected.cell is not None and header.inputs.get("data") != plan.data_fingerprint(expected.cell.dataset):
        return "the data set changed"
    distilled = header.inputs.get("distilled")
    if distilled is not None and expected.cell and distilled != plan.distilled_fingerprint(expected.cell):
        return "the distilled set changed"
    return "the code changed" if expected.stage != "data" else "settings, source or code changed"


def _settings_now(plan: Plan, expected: Expected) -> dict[str, Any]:
    if expected.cell is None:
        return {}
    settings = plan.settings(expected.cell)
    if expected.stage == "distill":
        return settings.model_dump(mode="json", by_alias=True, include={"network", "distillation"})
    return {
        "network": plan.evaluation_network(expected.cell, expected.network).model_dump(mode="json"),
        "evaluation": settings.evaluation.model_dump(mode="json"),
    }


def assumed_seconds(plan: Plan, expected: Expected) -> float:
    """Time of a job by the cost model; preparing data counts as nothing."""
    if expected.cell is None:
        return 0.0
    if expected.stage == "distill":
        return cost.distill_seconds(plan, expected.cell)
    return cost.evaluation_seconds(plan, expected.cell, expected.network)


def _measured_factors(plan: Plan, artifacts: list[tuple[Expected, Header | None]]) -> dict[str, float]:
    """Measured over assumed time of each stage, from what is done; 1 as long as nothing is."""
    factors = {}
    for stage in ("data", "distill", "evaluate"):
        done = [
            (assumed_seconds(plan, expected), header.seconds)
            for expected, header in artifacts
            if header and expected.stage == stage and header.fingerprint == expected.fingerprint
        ]
        assumed, measured = (sum(times) for times in zip(*done, strict=True)) if done else (0.0, 0.0)
        factors[stage] = measured / assumed if assumed > 0 else 1.0
    return factors


def duration(seconds: float) -> str:
    """A time for people: ``45 s``, ``12 min``, ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
