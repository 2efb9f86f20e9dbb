"""``python -m benchmarks gpu``: all that a GPU is to be asked, in one call of eight minutes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bacon.commands.printing import print_table
from bacon.runtime.atomic import write_json
from bacon.runtime.devices import device_name
from bacon.runtime.errors import BaconError
from bacon.runtime.provenance import commit
from benchmarks.gpu import runner
from benchmarks.gpu.parts import ALWAYS, PARTS, Part
from benchmarks.gpu.request import Request
from benchmarks.gpu.summary import COLUMNS, Line, expectations, summary
from benchmarks.options import chosen_device, published_option, rounds_option
from benchmarks.published import check_checkout

_SECONDS = 480.0


@click.command()
@rounds_option
@published_option
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True, help="cpu: for a trial run."
)
@click.option("--threads", type=click.IntRange(1), default=4, show_default=True, help="CPU threads of each program.")
@click.option(
    "--cell",
    "cells",
    multiple=True,
    help="Cells of the part `cells`, whose hours are predicted; by default the paper's.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with CIFAR-10, for accuracy: cifar10.h5, cifar10.npz, the official files, torchvision's folder or tiles.",
)
@click.option("--tests", multiple=True, default=("tests",), show_default=True, help="Files and folders of tests.")
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where everything goes.")
@click.option(
    "--part", "names", multiple=True, type=click.Choice([part.name for part in PARTS]), help="Only these parts."
)
@click.option("--profile", is_flag=True, help="The part `profile` too.")
@click.option(
    "--seconds", type=click.FloatRange(min=10), default=_SECONDS, show_default=True, help="For all parts together."
)
@click.option("--config", type=click.Path(path_type=Path), help="Configuration to take settings from.")
def gpu(
    rounds: int,
    published: Path | None,
    device: str,
    threads: int,
    cells: tuple[str, ...],
    data: Path | None,
    tests: tuple[str, ...],
    folder: Path,
    names: tuple[str, ...],
    profile: bool,
    seconds: float,
    config: Path | None,
) -> None:
    """All that a GPU is to be asked, each figure beside its target and what was predicted; one folder, eight minutes."""
    place = chosen_device(device, threads)
    if published is not None:
        check_checkout(published)
    request = Request(
        folder=folder.resolve(),
        device=device,
        threads=threads,
        rounds=rounds,
        cells=cells,
        data=None if data is None else data.resolve(),
        published=None if published is None else published.resolve(),
        config=None if config is None else config.resolve(),
        tests=tests,
    )
    begun = time.monotonic()
    chosen = chosen_parts(names, profile=profile)
    rows = runner.run(chosen, request, limit=seconds)
    report(request, rows, device=device_name(place), seconds=time.monotonic() - begun)
    if bad := [row["part"] for row in rows if row["status"] != "done"]:
        logs = ", ".join(str(request.folder / f"{name}.log") for name in bad)
        raise BaconError(f"these parts failed, were stopped or not started: {', '.join(bad)}. See {logs}")


def chosen_parts(names: Sequence[str], *, profile: bool) -> list[Part]:
    """The parts that are named, or those that always run; with ``profile`` that one too."""
    wanted = set(names or ALWAYS) | ({"profile"} if profile else set())
    return [part for part in PARTS if part.name in wanted]


def report(request: Request, rows: Sequence[Mapping[str, Any]], *, device: str, seconds: float) -> None:
    """Print the summary, and write it with all raw figures to ``gpu.json``."""
    parts = [str(row["part"]) for row in rows]
    found = {part: runner.findings(request.folder, part) for part in parts}
    figures = {name: value for each in found.values() for name, value in each.get("figures", {}).items()}
    figures["seconds of the command"] = seconds
    whole = request.device == "cuda"
    lines = summary(figures, [*parts, "all"], expectations(), expected=whole)
    content = {"device": device, "commit": commit(), "seconds": seconds, "parts": list(rows), "found": found}
    write_json(request.folder / "gpu.json", content | {"summary": [line.plain() for line in lines]})
    for part, each in found.items():
        _print_kernels(part, each.get("rows", {}))
    print_table(f"{device}, {commit()[:12]}", COLUMNS, [line.texts() for line in lines])
    for row in rows:
        click.echo(f"{row['part']}: {row['status']}, {row['seconds']:.0f} s")
    for each in found.values():
        for what, why in each.get("skipped", {}).items():
            click.echo(f"skipped: {what}: {why}")
    click.echo(_verdict(lines))


def _print_kernels(part: str, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    if part == "profile":
        for title, rows in tables.items():
            columns = ("kernel", "ms", "launches", "share")
            lines = [
                (row["kernel"][:100], f"{row['ms']:.3f}", f"{row['launches']:.1f}", f"{row['share']:.3f}")
                for row in rows
            ]
            print_table(title, columns, lines)


def _verdict(lines: Sequence[Line]) -> str:
    verdicts = [line.verdict for line in lines if line.expected is not None and line.expected.target is not None]
    counts = {name: verdicts.count(name) for name in ("pass", "MISS", "not measured")}
    return f"targets: {counts['pass']} reached, {counts['MISS']} missed, {counts['not measured']} not measured"
