"""``python -m benchmarks``: measures speed and memory on this machine; every command says what it compares.

python -m benchmarks distillation --cell cifar10/bacon/ipc10 --published ~/BACON/Code --threads 2 --output speed.json
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch

from bacon.commands.printing import print_table
from bacon.runtime.devices import set_up_arithmetic
from bacon.runtime.errors import BaconError
from benchmarks import accuracy as accuracy_benchmark
from benchmarks import condensation as condensation_benchmark
from benchmarks import distillation as distillation_benchmark
from benchmarks import evaluation as evaluation_benchmark
from benchmarks import gpu as gpu_benchmark
from benchmarks import gradients as gradients_benchmark
from benchmarks import memory as memory_benchmark
from benchmarks import operations as operations_benchmark
from benchmarks import precision as precision_benchmark
from benchmarks import workflow as workflow_benchmark
from benchmarks.cells import PAPER_CELLS, measured, real_dataset
from benchmarks.machine import ceilings
from benchmarks.options import Command, chosen_device, common
from benchmarks.report import save, show
from benchmarks.reproduction.command import reproduce


def of_cells(*default: str) -> Callable[[Command], Command]:
    """Options of commands that measure cells."""

    def add(function: Command) -> Command:
        for option in (
            click.option(
                "--cell", "cells", multiple=True, default=default, show_default=True, help="DATASET/METHOD/ipcN."
            ),
            click.option("--config", type=click.Path(path_type=Path), help="Configuration to take settings from."),
        ):
            function = option(function)
        return function

    return add


published_option = click.option(
    "--published", type=click.Path(path_type=Path), help="Checkout of the published BACON code to compare with."
)
rounds_option = click.option(
    "--rounds", type=click.IntRange(1), default=5, show_default=True, help="Number of runs of each, taking turns."
)


@click.group(help=__doc__)
def main() -> None:
    """Command group."""


main.add_command(reproduce)


@main.command()
@common
def machine(output: Path | None, device: str, threads: int) -> None:
    """What this machine can do: a large matrix product, a large copy."""
    found = ceilings(chosen_device(device, threads))
    show("machine", [found])
    save(output, {"machine": found})


@main.command()
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


@main.command()
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


@main.command()
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


@main.command()
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


@main.command()
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


@main.command()
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


@main.command()
@common
@click.option("--cells", type=click.IntRange(40), default=1000, show_default=True, help="Cells of the planned grid.")
@click.option("--dataset", default="cifar10", show_default=True, help="Data set that is read.")
def workflow(cells: int, dataset: str, output: Path | None, device: str, threads: int) -> None:
    """Starting a job, reading data, planning a large grid."""
    row = workflow_benchmark.measure(cells=cells, dataset=dataset, device=chosen_device(device, threads), large=True)
    show("workflow", [row])
    save(output, {"workflow": row})


@main.command()
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
    set_up_arithmetic(threads, tf32=precision == "tf32")
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


@main.command()
@common
@click.option("--cell", "cells", multiple=True, default=PAPER_CELLS, help="Cells; by default the paper's eleven.")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration to take settings from.")
def memory(cells: tuple[str, ...], config: Path | None, output: Path | None, device: str, threads: int) -> None:
    """Peak memory of the jobs of each cell, one at a time in a process of its own."""
    rows = memory_benchmark.measure(list(cells), config=config, device=chosen_device(device, threads))
    show("peak memory in GB", [{k: v / 1e9 if k.endswith("bytes") else v for k, v in row.items()} for row in rows])
    save(output, {"memory": rows})


@main.command()
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


@main.command()
@rounds_option
@published_option
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True, help="cpu: for a trial run."
)
@click.option("--threads", type=click.IntRange(1), default=4, show_default=True, help="CPU threads of each program.")
@click.option("--cell", "cells", multiple=True, default=PAPER_CELLS, help="Cells; by default the paper's eleven.")
@click.option("--data", type=click.Path(path_type=Path), help="Prepared data sets (results/data), for accuracy.")
@click.option("--tests", multiple=True, default=("tests",), show_default=True, help="Tests to run with pytest.")
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where everything goes.")
def gpu(
    rounds: int,
    published: Path | None,
    device: str,
    threads: int,
    cells: tuple[str, ...],
    data: Path | None,
    tests: tuple[str, ...],
    folder: Path,
) -> None:
    """All that a GPU is to be asked: its tests, speed in each precision, memory, time to accuracy; one folder."""
    chosen_device(device, threads)
    todo = gpu_benchmark.steps(
        folder.resolve(),
        device=device,
        cells=cells,
        rounds=rounds,
        threads=threads,
        published=published,
        data=data,
        tests=tests,
    )
    show("steps", gpu_benchmark.run(todo, folder.resolve()))


def run() -> None:
    """Run, with errors of the user's input as one line."""
    try:
        main.main(standalone_mode=True, prog_name="python -m benchmarks")
    except BaconError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    run()
