"""``accuracy``, ``precision``, ``memory``: what comes of a cell, and what room it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmarks import accuracy as accuracy_benchmark
from benchmarks import memory as memory_benchmark
from benchmarks import precision as precision_benchmark
from benchmarks.cells import PAPER_CELLS, measured, real_dataset
from benchmarks.options import chosen_device, common
from benchmarks.report import save, show


@click.command()
@common
@click.option("--cell", default="cifar10/bacon/ipc1", show_default=True, help="DATASET/METHOD/ipcN.")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration to take settings from.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The prepared data set (results/data).")
@click.option("--target", type=click.FloatRange(0, 100), help="Test accuracy in percent.")
@click.option(
    "--clock",
    type=click.FloatRange(min=0, min_open=True),
    multiple=True,
    default=(480.0,),
    show_default=True,
    help="Evaluate after these numbers of seconds of distillation.",
)
@click.option(
    "--networks", type=click.IntRange(1), default=5, show_default=True, help="Number of networks trained at each point."
)
@click.option(
    "--folder", type=click.Path(path_type=Path), required=True, help="Folder of state and records, to resume from."
)
@click.option(
    "--limit", type=float, default=float("inf"), help="Stop after this many seconds; the same command resumes."
)
@click.option("--cpu-clock", is_flag=True, help="Count CPU seconds per thread, for a machine that is shared.")
def accuracy(
    cell: str,
    config: Path | None,
    data: Path,
    target: float | None,
    clock: tuple[float, ...],
    networks: int,
    folder: Path,
    limit: float,
    cpu_clock: bool,
    output: Path | None,
    device: str,
    threads: int,
) -> None:
    """Test accuracy of a cell on real data against seconds of distillation."""
    place = chosen_device(device, threads)
    plan = accuracy_benchmark.Plan(
        measured=measured(cell, config),
        data=data,
        clock=tuple(sorted(clock)),
        networks=networks,
        folder=folder,
        cpu_clock=cpu_clock,
        limit=limit,
    )
    rows = accuracy_benchmark.measure(plan, place, target=target)
    if rows is None:
        click.echo(f"out of time; the same command resumes from {folder}")
        raise SystemExit(3)
    show(f"accuracy of {cell} against seconds of distillation", rows)
    results: dict[str, Any] = {"accuracy": rows, "target": target, "cpu_clock": cpu_clock}
    if target is not None:
        results["seconds_to_target"] = accuracy_benchmark.seconds_to(rows)
        show("target", [{"target": target, "seconds": results["seconds_to_target"] or "not reached"}])
    save(output, results)


@click.command()
@common
@click.option("--cell", default="digits/bacon/ipc1", show_default=True, help="DATASET/METHOD/ipcN.")
@click.option("--data", type=click.Path(path_type=Path), help="Preprocessed data set; not needed for the digits.")
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Number of distillation seeds, with one network each.",
)
@click.option("--config", type=click.Path(path_type=Path), help="Configuration to take settings from.")
def precision(
    cell: str, data: Path | None, seeds: int, config: Path | None, output: Path | None, device: str, threads: int
) -> None:
    """Accuracy with convolutions in fp32, tf32 (on a GPU) and bf16, seed by seed."""
    place, chosen = chosen_device(device, threads), measured(cell, config)
    dataset = real_dataset(chosen.cell.dataset, data)
    precisions = ["fp32", *(["tf32"] if place.type == "cuda" else []), "bf16"]
    rows = precision_benchmark.measure(chosen, dataset, device=place, seeds=seeds, precisions=precisions)
    show("precision of the convolutions, test accuracy in percent", rows)
    save(output, {"precision": rows})


@click.command()
@common
@click.option("--cell", "cells", multiple=True, default=PAPER_CELLS, help="Cells; by default the paper's eleven.")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration to take settings from.")
def memory(cells: tuple[str, ...], config: Path | None, output: Path | None, device: str, threads: int) -> None:
    """Peak memory of the jobs of each cell, one at a time in a process of its own."""
    rows = memory_benchmark.measure(list(cells), config=config, device=chosen_device(device, threads))
    show("peak memory in GB", [{k: v / 1e9 if k.endswith("bytes") else v for k, v in row.items()} for row in rows])
    save(output, {"memory": rows})
