"""A distillation job: a cell of a plan on a leased device."""

from __future__ import annotations

from pathlib import Path

from bacon.cells import Cell
from bacon.distillation.run import CellIdentity, distil_cell
from bacon.methods.registry import METHODS
from bacon.plan import Plan
from bacon.runtime.devices import lease_device, set_up_arithmetic
from bacon.runtime.errors import BaconError


def run_cell(plan: Plan, cell: Cell, *, data: Path, output: Path, threads: int) -> None:
    """Distil ``cell`` from the data set in ``data`` into ``output``; raises :class:`BaconError` on bad input."""
    if cell.ipc is None or cell.seed is None:
        raise BaconError(f"cell {cell}: the full data set is not distilled; evaluate it")
    identity = CellIdentity(
        dataset=cell.dataset,
        method=cell.method,
        ipc=cell.ipc,
        seed=cell.seed,
        fingerprint=plan.distilled_fingerprint(cell),
        data_fingerprint=plan.data_fingerprint(cell.dataset),
    )
    set_up_arithmetic(threads)
    with lease_device(plan.config.run.device) as device:
        distil_cell(
            identity,
            plan.settings(cell),
            data=data,
            output=output,
            device=device,
            selector=METHODS[cell.method].selector,
            chunk_images=plan.config.run.chunk_images,
            progress_seconds=plan.config.run.progress_seconds,
        )
