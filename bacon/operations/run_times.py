"""Run times in Snakemake's report: those that the artifacts carry, over all parts of a job.

Snakemake takes the time from the start of a job's last attempt, in which a resumed distillation computed its last part alone,
to the time of the file; on a cluster that counts the wait in the queue as well. No torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from bacon.plan.inventory import Inventory, expected_artifacts
from bacon.plan.plan import Plan


class Record(Protocol):
    """What Snakemake recorded of a file, in seconds since the epoch."""

    endtime: float | None

    def model_copy(self, *, update: dict[str, Any]) -> Any:
        """A copy with some fields replaced."""


def with_true_times(metadata: Callable[[Any], Any], plan: Plan) -> Callable[[Any], Any]:
    """Snakemake's look-up of what it recorded of a file, with the start that the artifact's own time gives.

    Args:
        metadata: file -> record, or ``None``.
        plan: distilled sets and evaluations of this plan have a time of their own; other files keep what was recorded.
    """
    inventory = Inventory(plan.directory)
    paths = {str(each.path): each.path for each in expected_artifacts(plan) if each.cell is not None}

    def corrected(target: Any) -> Any:
        record: Record | None = metadata(target)
        path = paths.get(str(target))
        header = inventory.header(path) if path is not None else None
        if record is None or record.endtime is None or header is None or header.fingerprint is None:
            return record
        return record.model_copy(update={"starttime": record.endtime - header.seconds})

    return corrected
