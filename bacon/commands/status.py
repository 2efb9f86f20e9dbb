"""``bacon status``: what is done, stale, running, failed, and left to do."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from bacon.commands.configuration import chosen_config, config_option
from bacon.downstream.registry import TASKS

if TYPE_CHECKING:
    from rich.table import Table

    from bacon.operations.job_status import Job, Status

_COLUMNS = ("data", "train", "distil", "evaluate")
_DOWNSTREAM = "downstream"
"""Column of all downstream tasks, where there are any."""
_COLOURS = {"done": "green", "stale": "yellow", "running": "cyan", "failed": "red", "stopped": "magenta"}


_LONGEST_PAUSE = 86_400.0


def _pause(seconds: float) -> float:
    """``--seconds``; what is no length of time is refused before anything is read, NaN too."""
    if not 0 <= seconds <= _LONGEST_PAUSE:
        raise click.BadParameter(f"{seconds:g} is not a number of seconds from 0 to {_LONGEST_PAUSE:g}")
    return seconds


@click.command("status")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--watch",
    is_flag=True,
    help="Refresh every --seconds until everything is done, or nobody computes what is left (exit code 1).",
)
@click.option(
    "--seconds",
    default=5.0,
    callback=lambda _context, _option, value: _pause(value),
    show_default=True,
    help="Seconds between two refreshes of --watch.",
)
@click.option("--all", "everything", is_flag=True, help="List every job, not only those that are not done.")
def status_command(config_file: str | None, as_json: bool, watch: bool, seconds: float, everything: bool) -> None:
    """Show what is done, stale (and why), running or failed, and how much is left to compute."""
    from bacon.operations.job_status import read_status
    from bacon.operations.watching import PATIENCE, Watch
    from bacon.operations.workflow_plan import load_plan

    chosen, watching = chosen_config(config_file), None
    while True:
        plan = load_plan(chosen)
        watching = watching or Watch(plan.directory, patience=max(PATIENCE, 3 * seconds))
        status = read_status(plan)
        if as_json:
            click.echo(json.dumps(as_dict(status), indent=1))
        else:
            _print(status, everything=everything)
        if not watch or status.counts.keys() <= {"done"}:
            return
        if words := watching.look(status):
            click.echo(words, err=as_json)
        if watching.is_over:
            raise SystemExit(1)
        time.sleep(seconds)


def as_dict(status: Status) -> dict[str, object]:
    """The content that ``--json`` prints."""
    return {
        "jobs": [asdict(job) for job in status.jobs],
        "counts": status.counts,
        "seconds_left": status.seconds_left,
        "measured": status.measured,
        "running": status.running,
        "training_bytes": status.training_bytes,
    }


def _print(status: Status, *, everything: bool) -> None:
    import sys

    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(_grid(status))
    console.print("One letter per job: D done, S stale, R running, F failed, P stopped, . waiting", style="dim")
    shown = [job for job in status.jobs if everything or job.state not in ("done", "waiting")]
    if shown:
        console.print(_details(shown))
    console.print(summary_line(status), highlight=False)


def _grid(status: Status) -> Table:
    """One row per data set, method and IPC, and per training on a real set; one letter per job says its state."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Cells", title_justify="left")
    has_tasks = any(_column(job.stage) == _DOWNSTREAM for job in status.jobs)
    columns = (*_COLUMNS, _DOWNSTREAM) if has_tasks else _COLUMNS
    for column in ("cell", *columns):
        table.add_column(column, overflow="fold")
    rows: dict[str, dict[str, Text]] = {}
    for job in status.jobs:
        group = job.name.rpartition("/seed")[0] or job.name.rpartition("/runs")[0] or job.name
        text = rows.setdefault(group, {column: Text() for column in columns})[_column(job.stage)]
        text.append(_letter(job.state), _COLOURS.get(job.state, ""))
    for group, texts in rows.items():
        table.add_row(group, *texts.values())
    return table


def _column(stage: str) -> str:
    """Column of a stage."""
    return _DOWNSTREAM if stage in TASKS else {"distill": "distil"}.get(stage, stage)


def _letter(state: str) -> str:
    return {"waiting": ".", "stopped": "P"}.get(state, state[0].upper())


def _details(jobs: list[Job]) -> Table:
    from rich.table import Table

    table = Table(title="Jobs", title_justify="left")
    for column in ("stage", "cell", "network", "state", "detail", "log"):
        table.add_column(column, overflow="fold")
    for job in jobs:
        log = job.log if job.state in ("failed", "stopped") else ""
        table.add_row(job.stage, job.name, job.network, job.state, job.detail, log, style=_COLOURS.get(job.state))
    return table


def summary_line(status: Status) -> str:
    """How many jobs are in which state, and how much is left to compute."""
    from bacon.operations.job_status import duration, size

    counts = ", ".join(f"{number} {state}" for state, number in sorted(status.counts.items()))
    text = f"{len(status.jobs)} jobs: {counts}."
    if status.seconds_left:
        text += f" About {duration(status.seconds_left)} of computing time left"
        if status.running:
            text += f", {duration(status.seconds_left / status.running)} with {status.running} at a time"
        if not status.measured:
            text += f", by an assumed rate of {status.assumed_device} until the first job is done here"
        text += "."
    if status.training_bytes:
        text += f" Networks trained on real sets take {size(status.training_bytes)} on the disk."
    return text
