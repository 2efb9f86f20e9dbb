"""``bacon prune``: files in ``results`` that belong to no cell of the configuration."""

from __future__ import annotations

import click

from bacon.commands.configuration import chosen_config, config_option
from bacon.operations.recorded_runs import CONFIGURATIONS


@click.command("prune")
@config_option
@click.option("--remove", is_flag=True, help="Delete the listed files.")
@click.option(
    "--records",
    is_flag=True,
    help="Also list networks trained with other settings, which would be reused if you went back to those settings.",
)
def prune_command(config_file: str | None, remove: bool, records: bool) -> None:
    """List results of cells that are no longer in the configuration, and unneeded checkpoints.

    What other runs in this folder made, with configurations of their own, is not listed (results/configurations).
    """
    from bacon.operations.orphans import orphans, other_plans, remove_path
    from bacon.operations.workflow_plan import load_plan

    chosen = chosen_config(config_file)
    plan, others = load_plan(chosen), other_plans(chosen)
    found = orphans(plan, records=records, others=others)
    if others:
        click.echo(
            f"Results of {len(others)} other runs are kept: their configurations are in {CONFIGURATIONS}", err=True
        )
    for path in found:
        if remove:
            remove_path(plan.directory / path)
        click.echo(f"{'removed ' if remove else ''}{path}")
    if not found:
        click.echo("Nothing to remove.")
    elif not remove:
        click.echo(f"{len(found)} paths; `bacon prune --remove` deletes them.")
