"""``bacon table``: accuracies on the terminal, costs, and what protocols explain of a published gap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bacon.commands.configuration import chosen_config, config_option
from bacon.commands.printing import print_absent, print_table
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    import pandas as pd

_HINT = "`bacon table --partial` prints the results that are there."


@click.command("table")
@click.option("--accuracy", "path", default="results/tables/accuracy.csv", show_default=True, help="The tidy table.")
@click.option("--protocol", help="Under this one, of several protocols; by default the configuration's `protocol`.")
@click.option("--pareto", is_flag=True, help="Print accuracy against every cost, from pareto.csv beside it.")
@click.option(
    "--partial", is_flag=True, help="From the evaluations that are there, instead of the table; says what is not."
)
@click.option(
    "--gap",
    nargs=2,
    metavar="METHOD OTHER",
    help="Print what protocols explain of the published gap between two methods, from their evaluations.",
)
@config_option
def table_command(
    path: str, protocol: str | None, pareto: bool, partial: bool, gap: tuple[str, str] | None, config_file: str | None
) -> None:
    """Print the accuracy table of the last run, or which methods no other beats in accuracy and cost.

    The configuration is read with --partial and --gap alone.
    """
    from bacon.reporting.collect.evaluations import under_protocol
    from bacon.reporting.collect.published import PublishedResults
    from bacon.reporting.tables.pareto_tables import terminal_pareto
    from bacon.reporting.tables.run_tables import terminal_table
    from bacon.reporting.targets import PUBLISHED

    if pareto and protocol is not None:
        raise click.UsageError(
            "costs are compared under the configuration's protocol; leave out --protocol or --pareto"
        )
    if gap is not None and (pareto or partial or protocol is not None):
        raise click.UsageError("--gap stands alone: it takes all that is there, each method under its own protocol")
    if pareto and partial:
        raise click.UsageError(
            "--pareto needs the table of every cost; leave out --partial, or see `bacon report --partial`"
        )
    if gap is not None:
        _print_gap(config_file, *gap)
        return
    if not partial:
        _check_no_folder(Path(path))
    if pareto:
        terminal_pareto(Path(path).with_name("pareto.csv"))
        return
    accuracy = _present(config_file) if partial else _finished(Path(path))
    shown = under_protocol(accuracy, protocol)
    terminal_table(shown, published=PublishedResults.read(PUBLISHED))
    if others := sorted({*accuracy["protocol_name"]} - {*shown["protocol_name"]}):
        click.echo(f"Under {shown['protocol_name'].iloc[0]}; other protocols with --protocol: {', '.join(others)}")


def _check_no_folder(path: Path) -> None:
    """Refuse a folder in place of the table, naming the table in it."""
    if path.is_dir():
        places = [path / name / "accuracy.csv" for name in ("", "tables", "results/tables")]
        there = next((str(place) for place in places if place.is_file()), "")
        meant = there or "accuracy.csv in the folder results/tables of a run; there is none in this one"
        raise BaconError(f"{path}: is a folder; --accuracy takes the table itself: {meant}")


def _finished(path: Path) -> pd.DataFrame:
    from bacon.reporting.collect.evaluations import read_accuracy

    try:
        return read_accuracy(path)
    except BaconError as error:
        raise BaconError(f"{error} {_HINT}") from error


def _present(config_file: str | None) -> pd.DataFrame:
    """The accuracies that are there; names the results that are not."""
    import pandas as pd

    from bacon.operations.workflow_plan import load_plan
    from bacon.reporting.collect.absent import evaluation_kinds, find_absent, present_accuracies

    plan = load_plan(chosen_config(config_file))
    absent = find_absent(plan).of(evaluation_kinds(plan))
    print_absent(absent)
    return pd.concat(present_accuracies(plan, absent).values(), ignore_index=True)


def _print_gap(config_file: str | None, method: str, other: str) -> None:
    from bacon.config.setting_errors import check_name
    from bacon.operations.workflow_plan import load_plan
    from bacon.reporting.collect.absent import evaluation_kinds, find_absent, present_accuracies
    from bacon.reporting.collect.published import PublishedResults
    from bacon.reporting.tables.gap_tables import chosen_gaps, gap_lines
    from bacon.reporting.targets import PUBLISHED

    plan, pair = load_plan(chosen_config(config_file)), (method, other)
    for name in pair:
        check_name("--gap", name, list(dict.fromkeys(cell.method for cell in plan.cells)))
    if method == other:
        raise click.UsageError(f"--gap: {method} and {other} are one method; name two")
    absent = find_absent(plan, methods=pair).of(evaluation_kinds(plan))
    print_absent(absent)
    found = chosen_gaps(plan, present_accuracies(plan, absent, methods=pair), PublishedResults.read(PUBLISHED), [pair])
    if not found.grids and not found.unsplit:
        raise BaconError(f"--gap: {method} and {other} are not both evaluated on any data set at an IPC with a network")
    for grid in found.grids:
        print_table(grid.title, grid.columns, grid.rows)
    for line in gap_lines(found):
        click.echo(line)
