"""``machine``, ``distillation``, ``gradients``, ``evaluation``, ``paper``: seconds of the work of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch

from benchmarks import condensation as condensation_benchmark
from benchmarks import distillation as distillation_benchmark
from benchmarks import evaluation as evaluation_benchmark
from benchmarks import gradients as gradients_benchmark
from benchmarks import trajectories as trajectories_benchmark
from benchmarks.cells import PAPER_CELLS, measured
from benchmarks.machine import ceilings, set_up
from benchmarks.options import chosen_device, common, of_cells, published_option, rounds_option
from benchmarks.report import save, show


@click.command()
@common
def machine(output: Path | None, device: str, threads: int) -> None:
    """What this machine can do: a large matrix product, a large copy."""
    found = ceilings(chosen_device(device, threads))
    show("machine", [found])
    save(output, {"machine": found})


@click.command()
@common
@of_cells("digits/bacon/ipc1", "cifar10/bacon/ipc10")
@rounds_option
@published_option
@click.option("--naive/--no-naive", default=True, show_default=True, help="Compare with the plain per-class loop.")
def distillation(
    cells: tuple[str, ...],
    config: Path | None,
    rounds: int,
    published: Path | None,
    naive: bool,
    output: Path | None,
    device: str,
    threads: int,
) -> None:
    """Iterations per second, by part, against the plain loop and the published program."""
    place = chosen_device(device, threads)
    found = ceilings(place)
    rows: list[dict[str, Any]] = []
    for name in cells:
        cell = measured(name, config)
        theirs = published if cell.cell.dataset == "cifar10" and cell.cell.method == "bacon" else None
        rows.append(
            distillation_benchmark.measure(
                cell, device=place, rounds=rounds, ceilings=found, naive=naive, published=theirs
            )
        )
    show("machine", [found])
    show("distillation, one iteration", rows)
    save(output, {"machine": found, "distillation": rows})


@click.command()
@common
@of_cells("cifar10/dc/ipc1", "cifar10/dsa/ipc10")
@rounds_option
@click.option("--batch-real", type=click.IntRange(1), help="Real images per class, in place of the cell's.")
def gradients(
    cells: tuple[str, ...],
    config: Path | None,
    rounds: int,
    batch_real: int | None,
    output: Path | None,
    device: str,
    threads: int,
) -> None:
    """Gradient matching: a step of the images and epochs of the network, against a plain loop over the classes."""
    place = chosen_device(device, threads)
    rows = [
        gradients_benchmark.measure(measured(name, config), device=place, rounds=rounds, batch_real=batch_real)
        for name in cells
    ]
    show("gradient matching", rows)
    save(output, {"gradients": rows})


@click.command()
@common
@of_cells("cifar10/dc/ipc1", "cifar10/dsa/ipc1", "cifar10/dm/ipc1")
@rounds_option
@click.option(
    "--published",
    type=click.Path(path_type=Path),
    required=True,
    help="Checkout of the published code of DC, DSA and DM to compare with.",
)
@click.option("--steps", is_flag=True, help="DC and DSA: one step of the images, without training the network.")
def condensation(
    cells: tuple[str, ...],
    config: Path | None,
    rounds: int,
    published: Path,
    steps: bool,
    output: Path | None,
    device: str,
    threads: int,
) -> None:
    """DC, DSA and DM: an iteration against the published programs."""
    place = chosen_device(device, threads)
    rows = [
        condensation_benchmark.measure(
            measured(name, config), published=published, device=place, rounds=rounds, steps=steps
        )
        for name in cells
    ]
    show("condensation, one iteration", rows)
    save(output, {"condensation": rows})


@click.command()
@common
@of_cells("cifar10/mtt/ipc1", "cifar10/mtt/ipc10")
@rounds_option
@click.option("--mtt", type=click.Path(path_type=Path), help="Checkout of the published code of MTT to compare with.")
@click.option("--tesla", type=click.Path(path_type=Path), help="Checkout of the published code of TESLA.")
@click.option("--steps", type=click.IntRange(1), help="The student's steps, in place of the cell's.")
def trajectories(
    cells: tuple[str, ...],
    config: Path | None,
    rounds: int,
    mtt: Path | None,
    tesla: Path | None,
    steps: int | None,
    output: Path | None,
    device: str,
    threads: int,
) -> None:
    """MTT: an iteration, naive and in constant memory, against the published programs of MTT and TESLA."""
    place = chosen_device(device, threads)
    published = {name: path for name, path in (("mtt", mtt), ("tesla", tesla)) if path is not None}
    rows = [
        trajectories_benchmark.measure(
            measured(name, config), published=published, device=place, rounds=rounds, steps=steps
        )
        for name in cells
    ]
    show("trajectory matching, one iteration", rows)
    save(output, {"trajectories": rows})


@click.command()
@common
@of_cells("cifar10/bacon/ipc1", "cifar10/bacon/ipc10")
@rounds_option
@published_option
@click.option(
    "--epochs", type=click.IntRange(3), default=8, show_default=True, help="Epochs of each measured training."
)
def evaluation(
    cells: tuple[str, ...],
    config: Path | None,
    rounds: int,
    published: Path | None,
    epochs: int,
    output: Path | None,
    device: str,
    threads: int,
) -> None:
    """Time to train and test the networks of a cell, against the published evaluation."""
    place = chosen_device(device, threads)
    rows: list[dict[str, Any]] = []
    for name in cells:
        cell = measured(name, config)
        theirs = published if cell.cell.dataset == "cifar10" else None
        rows.append(evaluation_benchmark.measure(cell, device=place, rounds=rounds, epochs=epochs, published=theirs))
    show("evaluation of one cell", rows)
    save(output, {"evaluation": rows})


@click.command()
@common
@rounds_option
@published_option
@click.option("--cell", "cells", multiple=True, default=PAPER_CELLS, help="Cells; by default the paper's eleven.")
@click.option("--precision", type=click.Choice(["fp32", "tf32", "bf16"]), help="Overrides the value of the cells.")
def paper(
    cells: tuple[str, ...],
    rounds: int,
    published: Path | None,
    precision: str | None,
    output: Path | None,
    device: str,
    threads: int,
) -> None:
    """Speed of the paper's cells: distillation by part, evaluation, hours for all of them; made for a GPU."""
    place = chosen_device(device, threads)
    set_up(threads, precision or "fp32")
    found = ceilings(place, torch.bfloat16 if precision == "bf16" else torch.float32)
    show("machine", [found])
    results: dict[str, Any] = {"machine": found, "distillation": [], "evaluation": []}
    for name in cells:
        cell = measured(name, precision=precision)
        theirs = published if cell.cell.dataset == "cifar10" else None
        results["distillation"].append(
            distillation_benchmark.measure(
                cell, device=place, rounds=rounds, ceilings=found, naive=False, published=theirs
            )
        )
        results["evaluation"].append(evaluation_benchmark.measure(cell, device=place, rounds=rounds, published=theirs))
        save(output, results)  # after each cell: what is measured is kept when the machine is not
    results["hours"] = sum(row["whole_hours"] for row in results["distillation"])
    show("distillation, one iteration", results["distillation"])
    show("evaluation of one cell", results["evaluation"])
    show("all cells, one seed, distillation", [{"hours": results["hours"]}])
    save(output, results)
