"""The ``bacon data`` commands: which data sets there are, and what a prepared file holds."""

from __future__ import annotations

from pathlib import Path

import click

_DEFAULT_CONFIG = Path("config/config.yaml")


@click.group("data")
def data() -> None:
    """Look at data sets; `snakemake` downloads and prepares them."""


@data.command("list")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help=f"Configuration whose own data sets are also listed.  [default: {_DEFAULT_CONFIG}, where it exists]",
)
def list_command(config_file: Path | None) -> None:
    """List every known data set: size, classes, state and source, in the working directory.

    States: absent; downloaded (every official file has its size; checksums are verified before anything is opened);
    embedded (comes with a package); present (own files); prepared; stale (prepared from other settings, files or code);
    damaged.
    """
    from bacon.commands.data_tables import LIST_COLUMNS, list_rows
    from bacon.commands.printing import print_table
    from bacon.config.loading import check_config
    from bacon.operations.workflow_plan import load_plan
    from bacon.plan.plan import Plan

    standard = config_file is None and not _DEFAULT_CONFIG.exists()
    plan = Plan(check_config({})) if standard else load_plan(config_file or _DEFAULT_CONFIG)
    print_table("Data sets", LIST_COLUMNS, list_rows(plan))


@data.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
def inspect_command(file: Path) -> None:
    """Print what a prepared data set holds, and verify every byte of it."""
    from bacon.commands.data_tables import SPLIT_COLUMNS, inspect_rows
    from bacon.commands.printing import print_table

    attributes, splits = inspect_rows(file)
    print_table(str(file), ("attribute", "value"), attributes)
    print_table("Splits", SPLIT_COLUMNS, splits)
    click.echo("Verified: all chunks and the checksum of the contents are correct.")
