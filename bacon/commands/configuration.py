"""Which configuration a command speaks of: the one that is named, else that of the last run here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.operations.recorded_runs import RecordedRun

DEFAULT_CONFIG = "config/config.yaml"

config_option = click.option(
    "--config",
    "--configfile",
    "config_file",
    help=f"Configuration file.  [default: that of the last run here; before the first run {DEFAULT_CONFIG}]",
)


def chosen_config(named: str | None) -> str:
    """The configuration file to read; says on stderr which, and how it differs from the last run's where one is named.

    Raises:
        BaconError: none is named, no run is recorded here, and there is no default file.
    """
    from bacon.config.loading import load_config
    from bacon.operations.recorded_runs import recorded_runs

    runs = recorded_runs()
    if named is not None:
        load_config(named)  # what is wrong with it is told before how it differs
        if runs and not _same(named, str(runs[-1].path)):
            _say(f"Warning: {named} differs from the configuration of the last run here, {_described(runs[-1])}")
        return named
    if runs:
        _say(f"Configuration: {_described(runs[-1])}, of the last run here")
        _say_if_edited(runs[-1])
        return str(runs[-1].path)
    if not Path(DEFAULT_CONFIG).is_file():
        raise BaconError(
            f"no run is recorded in {Path().absolute()} and it holds no {DEFAULT_CONFIG}; name a file with --config, or change "
            "to the folder where snakemake ran"
        )
    _say(f"Configuration: {DEFAULT_CONFIG} (no run is recorded here)")
    return DEFAULT_CONFIG


def _say_if_edited(run: RecordedRun) -> None:
    file = run.only_file
    if file is not None and Path(file).is_file() and not _same(file, str(run.path)):
        _say(f"Warning: {file} has changed since that run; --config {file} reads it as it is now")


def _same(one: str, other: str) -> bool:
    """Whether two files say the same; one that cannot be read says something else."""
    from bacon.config.loading import load_config

    try:
        return Path(one).read_bytes() == Path(other).read_bytes() or load_config(one) == load_config(other)
    except (OSError, BaconError):
        return False


def _described(run: RecordedRun) -> str:
    return f"{run.path}{f' (from {run.source})' if run.source else ''}"


def _say(text: str) -> None:
    click.echo(text, err=True)
