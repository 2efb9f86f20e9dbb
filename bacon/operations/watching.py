"""When watching a grid has nothing more to show: nobody computes what is left. No torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bacon.operations.job_status import Status, duration
from bacon.operations.snakemake_internals import is_locked

PATIENCE = 60.0
"""Seconds in which a started Snakemake has planned even a large grid, and between two of its jobs."""


class Watch:
    """Follows the states of a grid.

    Between two jobs, and while jobs wait in the queue of a cluster, nothing runs either; then Snakemake holds its lock.

    Args:
        directory: that the workflow runs in.
        patience: seconds without a change, a running job or Snakemake after which nobody computes.
        clock: seconds that pass.

    Attributes:
        is_over: nobody computes what is left.
    """

    def __init__(
        self, directory: Path, *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory, self._patience, self._clock = directory, patience, clock
        self._counts: dict[str, int] = {}
        self._since = clock()
        self.is_over = False

    def look(self, status: Status) -> str:
        """What there is to say of a state besides itself; empty: nothing."""
        if status.running or status.counts != self._counts:
            self._counts, self._since = status.counts, self._clock()
            return ""
        silence = self._clock() - self._since
        if silence < self._patience:
            return ""
        left = ", ".join(f"{number} {state}" for state, number in sorted(status.counts.items()) if state != "done")
        if is_locked(self._directory):
            return (
                f"No job has run for {duration(silence)} ({left}), but Snakemake's lock is there: jobs wait in a queue, or "
                "Snakemake was killed, and `snakemake --unlock` removes it."
            )
        self.is_over = True
        return f"No job has run for {duration(silence)}, and no Snakemake does: {left}. `snakemake` computes the rest."
