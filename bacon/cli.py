"""The ``bacon`` command: show settings, results and data; the workflow does the computing."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import click

from bacon._version import __version__
from bacon.commands.configuration import chosen_config, config_option
from bacon.commands.data import data
from bacon.commands.evaluate import evaluate_command
from bacon.commands.export import export_command
from bacon.commands.init import init_command
from bacon.commands.leaderboard import leaderboard_command
from bacon.commands.printing import print_table
from bacon.commands.prune import prune_command
from bacon.commands.ranking import checkpoints_command, ranking_command
from bacon.commands.report import report_command
from bacon.commands.status import status_command
from bacon.commands.table import table_command
from bacon.commands.verify import verify_command
from bacon.runtime.errors import BaconError
from bacon.runtime.logs import set_up_logging
from bacon.runtime.scripts import disk_advice


class _Group(click.Group):
    """Prints errors that users are meant to read without a traceback, and exits with status 1."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BaconError as error:
            click.echo(f"Error: {error}", err=True)
            context.exit(1)
        except OSError as error:
            advice = disk_advice(error)
            click.echo(f"Error: {error}{f'; {advice}' if advice else ''}", err=True)
            context.exit(1)


@click.group(cls=_Group)
@click.version_option(__version__)
def main() -> None:
    """Inspect, evaluate and export distilled data sets. `snakemake` does the computing."""
    set_up_logging()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a sign that the terminal's encoding lacks is no reason to stop
        sys.stdout.reconfigure(errors="backslashreplace")


main.add_command(init_command)
main.add_command(data)
main.add_command(status_command)
main.add_command(prune_command)
main.add_command(evaluate_command)
main.add_command(export_command)
main.add_command(verify_command)
main.add_command(ranking_command)
main.add_command(checkpoints_command)
main.add_command(report_command)
main.add_command(table_command)
main.add_command(leaderboard_command)


@main.command("config")
@config_option
@click.option("--cell", "cell_name", required=True, help="For example digits/bacon/ipc10/seed0, or digits/full.")
@click.option("--protocol", help="One of grid.protocols.  [default: the one that headline tables show]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def config_command(config_file: str | None, cell_name: str, protocol: str | None, as_json: bool) -> None:
    """Print the settings of a cell, and the layer that each value comes from."""
    from bacon.config.setting_errors import check_name
    from bacon.config.unreached import unreached_values
    from bacon.operations.job_status import training_rows
    from bacon.operations.workflow_plan import load_plan
    from bacon.settings.cells import Cell

    plan, cell = load_plan(chosen_config(config_file)), Cell.parse(cell_name)
    check_name("--cell", str(cell), [str(known) for known in (*plan.references, *plan.cells)])
    if protocol is not None:
        check_name("--protocol", protocol, plan.protocols)
        plan = plan.protocols[protocol]
    rows = plan.resolved(cell).rows()
    for line in unreached_values(plan.headline.config):
        click.echo(f"Warning: {line}", err=True)
    if as_json:
        click.echo(json.dumps([{"key": key, "value": value, "layer": layer} for key, value, layer in rows], indent=1))
    else:
        print_table(f"Settings of {cell}", ("key", "value", "layer"), rows)
        if needs := training_rows(plan, cell):
            print_table("Networks trained on the real set first", ("need", "runs", "kept", "on the disk"), needs)


@main.command("methods")
def methods_command() -> None:
    """List the methods."""
    from bacon.methods.registry import METHODS

    rows = [(method.name, method.title, method.summary, method.reference) for method in METHODS.values()]
    print_table("Methods", ("name", "title", "what it does", "reference"), rows)


@main.command("reference")
@click.option(
    "--write", is_flag=True, help="Write the JSON schema and config/README.md instead of printing the latter."
)
def reference_command(write: bool) -> None:
    """Print every key of the configuration, or write the files generated from the settings models."""
    from bacon.config.reference import reference_text, write_reference

    if not write:
        click.echo(reference_text())
        return
    for path in write_reference(Path()):
        click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()
