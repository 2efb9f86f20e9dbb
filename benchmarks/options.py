"""Options that commands share, and the device they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import torch

from bacon.runtime.devices import set_up_arithmetic
from bacon.runtime.errors import BaconError

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
    set_up_arithmetic(threads)
    cuda = torch.cuda.is_available()
    if name == "cuda" and not cuda:
        raise BaconError("--device cuda: PyTorch sees no GPU here")
    return torch.device("cuda" if name != "cpu" and cuda else "cpu")
