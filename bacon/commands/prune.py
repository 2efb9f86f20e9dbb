"""``bacon prune``: what lies in ``results`` and belongs to no cell of the configuration."""

from __future__ import annotations

import click


@click.command("prune")
@click.option("--config", "config_file", default="config/config.yaml", show_default=True, help="Configuration file.")
@click.option("--remove", is_flag=True, help="Delete the listed files.")
@click.option(
    "--records",
    is_flag=True,
    help="Also list networks trained with other settings, which would be reused if you went back to those settings.",
)
def prune_command(config_file: str, remove: bool, records: bool) -> None:
    """List results of cells that the configuration no longer has, and checkpoints that nothing needs; --remove removes."""
    from bacon.operations.orphans import orphans, remove_path
    from bacon.operations.workflow_plan import load_plan

    plan = load_plan(config_file)
    found = orphans(plan, records=records)
    for path in found:
        if remove:
            remove_path(plan.directory / path)
        click.echo(f"{'removed ' if remove else ''}{path}")
    if not found:
        click.echo("Nothing to remove.")
    elif not remove:
        click.echo(f"{len(found)} paths; `bacon prune --remove` deletes them.")
