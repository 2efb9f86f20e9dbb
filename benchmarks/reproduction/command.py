"""``python -m benchmarks reproduce``: published settings for some time, ours beside what is published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch

from bacon.commands.printing import print_table
from bacon.plan import cost
from bacon.runtime.devices import device_name, set_up_arithmetic
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import set_up_logging
from benchmarks.options import chosen_device, common
from benchmarks.report import save, show, text
from benchmarks.reproduction import prediction
from benchmarks.reproduction.accuracy import Published, evaluate, published
from benchmarks.reproduction.distillation import Reached, distil
from benchmarks.reproduction.needs import NeedState, train_needs
from benchmarks.reproduction.target import Request, Target, make_target, parsed_cell

OUT_OF_TIME, FAILED = 3, 1


def _iterations(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    """``500,1000`` as ascending numbers."""
    try:
        found = sorted({int(part) for part in text.split(",")}) if text else []
    except ValueError:
        raise click.BadParameter(f"{text!r}: must be iterations separated by commas, such as 500,1000") from None
    if found and found[0] < 0:
        raise click.BadParameter(f"{found[0]}: an iteration is not negative")
    return tuple(found)


@click.command()
@common
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder with NAME.h5 (prepared), NAME.npz (arrays) or the official files in NAME/ or NAME-raw/.",
)
@click.option(
    "--cell", "cells", multiple=True, required=True, help="DATASET/METHOD/ipcN[/seedK]; may be given several times."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), required=True, help="Seconds of distillation of each cell in this call."
)
@click.option(
    "--folder", type=click.Path(path_type=Path), required=True, help="Folder of state and results, to resume from."
)
@click.option("--at", default="", callback=_iterations, help="Iterations to evaluate besides the last one: 500,1000.")
@click.option(
    "--networks", type=click.IntRange(1), default=5, show_default=True, help="Number of networks trained at each point."
)
@click.option(
    "--need-seconds",
    type=click.FloatRange(min=0),
    help="Stop training the networks that a cell needs after this many seconds; by default they are all trained.",
)
@click.option(
    "--zca",
    is_flag=True,
    help="Whiten the images of every cell (data.NAME.zca); without it, of those whose settings ask for it.",
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="Configuration to take settings from, not the published."
)
def reproduce(
    data: Path,
    cells: tuple[str, ...],
    seconds: float,
    folder: Path,
    at: tuple[int, ...],
    networks: int,
    need_seconds: float | None,
    zca: bool,
    config: Path | None,
    output: Path | None,
    device: str,
    threads: int,
) -> None:
    """Cells with published settings, for some seconds each: accuracy beside the published one, and cost.

    The same command goes on where the last one ended. A cell is evaluated with the protocol p-dsa, and with its method's own.
    """
    set_up_logging()  # hours in the background are followed in a file
    place = chosen_device(device, threads)
    request = Request(data=data, folder=folder.resolve(), config=config, zca=zca, device=place.type, threads=threads)
    parsed = [parsed_cell(cell) for cell in dict.fromkeys(cells)]
    targets = [make_target(cell, request) for cell in parsed]
    results: dict[str, Any] = {"device": device_name(place), "zca": zca, "cost": [], "accuracy": [], "errors": {}}
    unfinished = False
    for target in targets:
        try:
            unfinished |= not _reproduce(target, place, results, seconds, at, networks, need_seconds)
        except BaconError as error:
            results["errors"][str(target.cell)] = str(error)
            click.echo(f"{target.cell}: failed: {error}", err=True)
        for path in {folder / "reproduce.json", output} - {None}:
            save(path, results)
    if results["errors"]:
        raise SystemExit(FAILED)
    if unfinished:
        raise SystemExit(OUT_OF_TIME)


def _reproduce(
    target: Target,
    device: torch.device,
    results: dict[str, Any],
    seconds: float,
    at: Sequence[int],
    networks: int,
    need_seconds: float | None,
) -> bool:
    """One cell, its rows added to the results and printed; ``False`` where the networks that it needs are not all trained."""
    run = target.plan.config.run
    set_up_arithmetic(run.threads, deterministic=run.deterministic)
    needs = train_needs(target, limit=need_seconds)
    if any(not need.finished for need in needs):
        row = _cost(target, needs, None, results["device"])
        results["cost"].append(row)
        show(f"cost of {target.cell} on {results['device']}", [row])
        for need in needs:
            if not need.finished:
                click.echo(_cut(target, need))
        return False
    reached = distil(target, device, seconds=seconds, at=at)
    row = _cost(target, needs, reached, results["device"])
    results["cost"].append(row)
    show(f"cost of {target.cell} on {results['device']}", [row])
    for line in _remarks(target, reached, at):
        click.echo(line)
    beside = published(target)
    rows = [
        _beside(found, reached, beside)
        for protocol in target.plans
        for found in evaluate(target, protocol, reached.images, device, networks=networks)
    ]
    results["accuracy"] += rows
    columns = ("protocol", "iteration", "ours", "sd", "networks", "published", "sd", "difference")
    print_table(f"accuracy of {target.cell} in percent, ours beside published", columns, [_line(row) for row in rows])
    click.echo(f"published: {beside.source}" + (f"; others print {_numbers(beside.others)}" if beside.others else ""))
    return True


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of accuracy for people."""
    keys = (
        "accuracy_percent",
        "std_percent",
        "networks",
        "published_percent",
        "published_std_percent",
        "difference_points",
    )
    return (row["protocol"], f"{row['iteration']} of {row['of']}", *(text(row[key]) for key in keys))


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _cost(target: Target, needs: Sequence[NeedState], reached: Reached | None, device: str) -> dict[str, Any]:
    """What a cell has taken and what all of it takes, in seconds, beside what was predicted.

    On an H200 that is what :mod:`benchmarks.reproduction.prediction` says, elsewhere what the cost model asks a scheduler for.
    """
    known_gpu = prediction.of(target.plan, target.cell, device)
    row: dict[str, Any] = {"cell": str(target.cell), "ZCA": "yes" if target.plan.is_whitened(target.cell) else "no"}
    if needs:
        wholes = [need.whole for need in needs]
        known = None if None in wholes else sum(whole for whole in wholes if whole is not None)
        row |= {
            "networks needed": sum(need.wanted for need in needs),
            "networks trained": sum(need.trained for need in needs),
            "seconds of their training": sum(need.seconds for need in needs),
            "all of them": known,
            "all of them, predicted": known_gpu[0] if known_gpu else sum(need.predicted for need in needs),
        }
    predicted = known_gpu[1] if known_gpu else cost.distill_seconds(target.plan, target.cell)
    if reached is None:
        return row | {"distillation, predicted": predicted}
    whole = reached.whole_seconds
    return row | {
        "iterations": reached.iteration,
        "of": reached.total,
        "seconds": reached.clock.seconds,
        "seconds per iteration": reached.clock.per_iteration(reached.iteration) if reached.total else None,
        "whole distillation": whole,
        "distillation, predicted": predicted,
        "measured / predicted": whole / predicted if predicted else None,
        "seconds to set up": reached.clock.setup_seconds,
        "peak memory, GB": reached.clock.peak_bytes / 1e9,
    }


def _cut(target: Target, need: NeedState) -> str:
    return (
        f"{target.cell}: not distilled: {need.trained} of the {need.wanted} networks {need.key} that it needs are trained, "
        f"after {need.seconds:.0f} s; the same command goes on (--need-seconds)"
    )


def _remarks(target: Target, reached: Reached, at: Sequence[int]) -> list[str]:
    """What a reader has to know besides figures."""
    lines = [f"protocol {name} is left out: {why}" for name, why in target.missing.items()]
    late = [str(iteration) for iteration in at if iteration > reached.iteration]
    if late and reached.total:
        lines.append(f"not reached: {', '.join(late)} (it has {reached.total} iterations)")
    if reached.passed:
        lines.append(
            f"no images of {', '.join(map(str, reached.passed))}: an earlier call passed without --at of them; "
            "a new --folder starts over"
        )
    if reached.divergence is not None:
        lines.append(f"it diverged: {reached.divergence}")
    return lines


def _beside(row: dict[str, Any], reached: Reached, found: Published) -> dict[str, Any]:
    """A row of accuracy with what is published beside it."""
    ours = row["accuracy_percent"]
    return row | {
        "of": reached.total,
        "published_percent": found.percent,
        "published_std_percent": found.std,
        "difference_points": None if found.percent is None else ours - found.percent,
        "also_published": list(found.others),
        "published_source": found.source,
    }
