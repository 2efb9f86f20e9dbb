"""Where the workflow reaches into Snakemake's private state, and what it relies on there. No torch.

Snakemake decides what to make again by times of files and by what it recorded of them. This workflow decides by the
fingerprint of a file, and Snakemake has no public interface for that. :func:`check_snakemake` names what a new version
changed.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from bacon.operations.products import Product
from bacon.plan.inventory import Inventory
from bacon.plan.plan import Plan
from bacon.plan.stages import plan_artifacts
from bacon.runtime.errors import BaconError

_LOCKS = Path(".snakemake/locks")
_CHANGES = ("params_changed", "input_changed", "code_changed", "software_stack_changed")


class SnakemakeRecord(Protocol):
    """What Snakemake recorded of a file: times in seconds since the epoch, and the ``repr`` of each of the rule's params."""

    endtime: float | None
    params: list[Any] | None

    def model_copy(self, *, update: dict[str, Any]) -> Any:
        """A copy with some fields replaced."""


def check_snakemake() -> None:
    """Raise :class:`BaconError` when the installed Snakemake is not made as this workflow relies on, naming what differs."""
    import snakemake.api  # noqa: F401 - first: Snakemake's modules import each other
    from snakemake.workflow import DAG, PersistenceBase, Workflow

    check_classes(DAG, PersistenceBase, Workflow)


def check_classes(dag: type, persistence: type, workflow: type) -> None:
    """As :func:`check_snakemake`, of given classes."""
    _check("DAG(..., forcefiles)", "forcefiles" in inspect.signature(dag).parameters)
    _check("DAG.update_needrun, which reads forcefiles", "forcefiles" in _names(dag, "update_needrun"))
    for name in _CHANGES:
        _check(f"PersistenceBase.{name}(job, file)", _parameters(persistence, name) == ("self", "job", "file"))
        _check(f"DAG.update_needrun, which asks {name}", name in _names(dag, "update_needrun"))
    _check("PersistenceBase.metadata(target)", _parameters(persistence, "metadata") == ("self", "target"))
    _check("PersistenceBase.has_metadata, which asks metadata", "metadata" in _names(persistence, "has_metadata"))
    _check("async PersistenceBase.incomplete(job)", _parameters(persistence, "incomplete") == ("self", "job"))
    _check("async PersistenceBase.incomplete", inspect.iscoroutinefunction(persistence.incomplete))  # type: ignore[attr-defined]
    for name in (
        "dag", "persistence", "is_main_process", "executor_plugin", "dryrun", "remote_exec", "non_local_exec",
    ):  # fmt: skip
        _check(f"Workflow.{name}", isinstance(inspect.getattr_static(workflow, name, None), property))


def _check(what: str, is_there: bool) -> None:
    if not is_there:
        raise BaconError(
            f"Snakemake {version('snakemake')} changed {what} that this workflow relies on: "
            "bacon/operations/snakemake_internals.py must follow it; until then install an earlier version"
        )


def _names(of: type, function: str) -> set[str]:
    """Names that a method, or a function inside it, uses; empty when there is none."""
    found: set[str] = set()
    waiting = [getattr(getattr(of, function, None), "__code__", None)]
    while waiting:
        code = waiting.pop()
        if code is not None:
            found.update((*code.co_names, *code.co_freevars))
            waiting.extend(constant for constant in code.co_consts if inspect.iscode(constant))
    return found


def _parameters(of: type, function: str) -> tuple[str, ...]:
    method = getattr(of, function, None)
    return () if method is None else tuple(inspect.signature(method).parameters)


def wake_with_one_timer(scheduler: type | None = None) -> None:
    """Let Snakemake's scheduler look at its waiting jobs once a second, however many jobs have finished.

    Each look that finds jobs waiting starts a timer for the next look, and each job that finishes is a look of its own, so that
    after a thousand jobs the scheduler looks a thousand times a second and fills a core. One pending timer is enough.

    Args:
        scheduler: class to change, by default Snakemake's; one without :meth:`_schedule_reevalutation` needs no change.
    """
    if scheduler is None:
        from snakemake.scheduling.job_scheduler import JobScheduler

        scheduler = JobScheduler
    if hasattr(scheduler, "_schedule_reevalutation"):
        scheduler._schedule_reevalutation = _wake_once  # the name is Snakemake's


def _wake_once(scheduler: Any, delay: float) -> None:
    if getattr(scheduler, "_timer", None) is not None:
        return

    def wake() -> None:
        scheduler._timer = None  # first: the look that follows starts the next timer
        scheduler._open_jobs.release()

    scheduler._timer = threading.Timer(delay, wake)
    scheduler._timer.daemon = True  # a workflow that is done does not wait for it
    scheduler._timer.start()


def is_locked(directory: Path) -> bool:
    """Whether a Snakemake runs in a folder, or was killed there: it leaves a lock."""
    return any((directory / _LOCKS).glob("*.lock"))


def is_run(workflow: Any) -> bool:
    """Whether a call computes: no dry run, and none of the calls that only look at the graph.

    Beside another call in the folder that is not known before it starts: Snakemake refuses it where both make a file.
    """
    computes = workflow.is_main_process and workflow.executor_plugin is not None and not workflow.dryrun
    return computes and not is_locked(Path())


def is_scheduled(workflow: Any) -> bool:
    """Whether a scheduler such as SLURM runs the jobs of a call, or has given this process one of them."""
    return bool(workflow.remote_exec or workflow.non_local_exec)


def force(workflow: Any, paths: Iterable[str]) -> None:
    """Make files again whatever Snakemake recorded of them; forced files add no targets to a call."""
    workflow.dag.forcefiles.update(paths)


def trust(workflow: Any, right: frozenset[str]) -> None:
    """Take files that are right by content for unchanged and whole, whatever Snakemake recorded of them.

    Its records are those of the last job here: of other settings, where results were copied from elsewhere, of a rule's earlier
    command line, or of a job that was killed after its file was there.
    """
    records = workflow.persistence
    for name in _CHANGES:
        setattr(records, name, _unless_right(getattr(records, name), right))
    incomplete = records.incomplete

    async def incomplete_of(job: Any) -> list[Any]:
        return [file for file in await incomplete(job) if str(file) not in right]

    records.incomplete = incomplete_of


def _unless_right(changed: Callable[..., Any], right: frozenset[str]) -> Callable[..., Any]:
    """Snakemake's question whether a job changed, answered with no for a job whose files are all right."""

    def answer(job: Any, file: Any = None) -> Any:
        if all(str(path) in right for path in ([file] if file is not None else job.output)):
            return False if file is not None else ()
        return changed(job, file=file)

    return answer


def is_recorded(workflow: Any, product: Product) -> bool:
    """Whether Snakemake recorded that it made a product's files with their fingerprint."""
    from snakemake.io import IOFile

    metadata = workflow.persistence.metadata
    records: list[SnakemakeRecord | None] = [metadata(IOFile(path)) for path in product.outputs]
    return all(
        record is not None and any(product.fingerprint in str(param) for param in record.params or ())
        for record in records
    )


def report_true_times(workflow: Any, plan: Plan) -> None:
    """Let ``--report`` show the times of all parts of a job, where it would show those of the last one."""
    records = workflow.persistence
    records.metadata = with_true_times(records.metadata, plan)


def with_true_times(metadata: Callable[[Any], Any], plan: Plan) -> Callable[[Any], Any]:
    """Snakemake's look-up of what it recorded of a file, with the start that the artifact's own time gives.

    Snakemake takes the time from the start of a job's last attempt, in which a resumed distillation computed only its
    last part, to the time of the file; on a cluster that counts the wait in the queue as well.

    Args:
        metadata: file -> record, or ``None``.
        plan: artifacts of this plan that say how long they took; other files keep what was recorded.
    """
    inventory = Inventory(plan.directory)
    artifacts = {str(artifact.path): artifact for artifact in plan_artifacts(plan)}

    def corrected(target: Any) -> Any:
        record: SnakemakeRecord | None = metadata(target)
        artifact = artifacts.get(str(target))
        header = inventory.of(artifact) if artifact is not None else None
        if record is None or record.endtime is None or header is None or not header.seconds:
            return record
        return record.model_copy(update={"starttime": record.endtime - header.seconds})

    return corrected
