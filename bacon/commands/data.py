"""The ``bacon data`` commands: known data sets, and the contents of a prepared file."""

from __future__ import annotations

from pathlib import Path

import click

from bacon.commands.configuration import DEFAULT_CONFIG, chosen_config, config_option


@click.group("data")
def data() -> None:
    """List and inspect data sets. `snakemake` downloads and prepares them."""


@data.command("list")
@config_option
def list_command(config_file: str | None) -> None:
    """List every known data set: size, classes, state and source, in the working directory.

    States: absent; downloaded (every official file has its size; checksums are verified before anything is opened);
    embedded (comes with a package); present (own files); prepared; stale (prepared from other settings, files or code);
    damaged.
    """
    from bacon.commands.data_tables import LIST_COLUMNS, list_rows
    from bacon.commands.printing import print_table
    from bacon.config.loading import check_config
    from bacon.operations.recorded_runs import recorded_runs
    from bacon.operations.workflow_plan import load_plan
    from bacon.plan.plan import Plan

    standard = config_file is None and not Path(DEFAULT_CONFIG).exists() and not recorded_runs()
    plan = Plan(check_config({})) if standard else load_plan(chosen_config(config_file))
    print_table("Data sets", LIST_COLUMNS, list_rows(plan))


@data.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
def inspect_command(file: Path) -> None:
    """Print the contents of a prepared data set, and verify its checksums."""
    from bacon.commands.data_tables import SPLIT_COLUMNS, inspect_rows
    from bacon.commands.printing import print_table

    attributes, splits = inspect_rows(file)
    print_table(str(file), ("attribute", "value"), attributes)
    print_table("Splits", SPLIT_COLUMNS, splits)
    click.echo("Verified: all chunks and the checksum of the contents are correct.")
