"""Which cells of a plan are distilled from, and tested on, whitened images: their numbers are of other images than the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell


def whitening_notes(plan: Plan) -> list[str]:
    """One line with the methods and IPCs of each data set whose images are whitened; none where there is none."""
    parts = [part for dataset in plan.datasets if (part := _of_dataset(plan, dataset))]
    return [f"Distilled from and tested on images whitened by ZCA: {'; '.join(parts)}."] if parts else []


def _of_dataset(plan: Plan, dataset: str) -> str:
    """``CIFAR-10 (MTT, IPC 1 and 10; DATM)``; a data set alone where every cell is whitened, nothing where none is."""
    grid = [cell for cell in (*plan.references, *plan.cells) if cell.dataset == dataset]
    whitened = [cell for cell in grid if plan.is_whitened(cell)]
    title = plan.dataset_title(dataset)
    if not whitened or len(whitened) == len(grid):
        return title if whitened else ""
    methods = dict.fromkeys(cell.method for cell in whitened)
    words = [_of_method(plan, [cell for cell in grid if cell.method == method]) for method in methods]
    return f"{title} ({'; '.join(words)})"


def _of_method(plan: Plan, cells: list[Cell]) -> str:
    """A method, with those of its IPCs that are whitened where not all are."""
    title, whitened = plan.method_title(cells[0].method), [cell for cell in cells if plan.is_whitened(cell)]
    if len(whitened) == len(cells):
        return title
    ipcs = dict.fromkeys(cell.ipc for cell in whitened)
    some = any(cell.ipc in ipcs and cell not in whitened for cell in cells)
    return f"{title}, IPC {_listed(map(str, ipcs))}{', some seeds' if some else ''}"


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
