"""``operations``, ``launches``, ``workflow``, ``page``: what cells are made of, what surrounds them, and the report."""

from __future__ import annotations

from pathlib import Path

import click

from bacon.commands.printing import print_table
from benchmarks import launches as launches_benchmark
from benchmarks import operations as operations_benchmark
from benchmarks import workflow as workflow_benchmark
from benchmarks.options import chosen_device, common, rounds_option
from benchmarks.report import save, show


@click.command()
@rounds_option
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def operations(rounds: int, threads: int, output: Path | None) -> None:
    """Single operations on the CPU, against the usual way of writing them."""
    chosen_device("cpu", threads)
    rows = operations_benchmark.measure(rounds)
    columns = ("operation", "data", "ms", "usual way", "ms", "ratio")
    print_table("single operations, median of each", columns, [operations_benchmark.line(row) for row in rows])
    save(output, {"operations": rows})


@click.command()
@click.option(
    "--cell", "cells", multiple=True, default=launches_benchmark.CELLS, show_default=True, help="DATASET/METHOD/ipcN."
)
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def launches(cells: tuple[str, ...], output: Path | None) -> None:
    """What a recorded matching launches on a GPU besides our own kernels, counted on the CPU."""
    chosen_device("cpu", 1)
    rows = launches_benchmark.measure(cells)
    columns = ("cell", "chunks", "a pass for each chunk", "passes joined")
    print_table("operations of a recorded matching", columns, [[str(value) for value in row.values()] for row in rows])
    save(output, {"launches": rows})


@click.command()
@common
@click.option("--cells", type=click.IntRange(40), default=1000, show_default=True, help="Cells of the planned grid.")
@click.option("--dataset", default="cifar10", show_default=True, help="Data set that is read.")
def workflow(cells: int, dataset: str, output: Path | None, device: str, threads: int) -> None:
    """Starting a job, reading data, planning a large grid."""
    row = workflow_benchmark.measure(cells=cells, dataset=dataset, device=chosen_device(device, threads), large=True)
    show("workflow", [row])
    save(output, {"workflow": row})


@click.command()
@rounds_option
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def page(rounds: int, output: Path | None) -> None:
    """The report of 1,500 cells in Chromium, on a desktop and on a phone."""
    from benchmarks import page as page_benchmark  # needs Selenium, Chromium and its driver

    rows = page_benchmark.measure(rounds)
    show("report in Chromium, medians", rows)
    save(output, {"page": rows})
