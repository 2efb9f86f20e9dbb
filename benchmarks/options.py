"""Options that commands share, and the device they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import torch

from bacon.runtime.errors import BaconError
from benchmarks.machine import set_up

Command = Callable[..., None]


def common(function: Command) -> Command:
    """Options of every command."""
    for option in (
        click.option("--output", type=click.Path(path_type=Path), help="Write the figures as JSON."),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
        click.option(
            "--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads of each program."
        ),
    ):
        function = option(function)
    return function


def chosen_device(name: str, threads: int) -> torch.device:
    """The device, set up as a job sets it up."""
    set_up(threads)
    cuda = torch.cuda.is_available()
    if name == "cuda" and not cuda:
        raise BaconError("--device cuda: PyTorch sees no GPU here")
    return torch.device("cuda" if name != "cpu" and cuda else "cpu")


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
