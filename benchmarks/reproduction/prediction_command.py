"""``python -m benchmarks predictions``: what published settings take on an H200, computed, not measured."""

from __future__ import annotations

from pathlib import Path

import click

from bacon.commands.printing import print_table
from bacon.methods.registry import METHODS
from benchmarks.report import save, text
from benchmarks.reproduction import prediction


@click.command()
@click.option("--cell", "cells", multiple=True, help="DATASET/METHOD/ipcN; by default every method on CIFAR-10.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def predictions(cells: tuple[str, ...], output: Path | None) -> None:
    """Seconds on an H200 that published settings take, from their operations: nothing is run.

    `reproduce` prints what it measures on such a GPU beside these.
    """
    every = [f"cifar10/{method}/ipc{ipc}" for method in METHODS if method != "full" for ipc in (1, 10, 50)]
    rows = [prediction.row(cell) for cell in cells or every]
    lines = [[text(value) for value in row.values()] for row in rows]
    print_table(f"predicted for an {prediction.GPU}, seconds", [key.removesuffix(", s") for key in rows[0]], lines)
    save(output, {"device": prediction.GPU, "predictions": rows})
