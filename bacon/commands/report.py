"""``bacon report``: the report of results that exist, of another configuration or at another place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bacon.commands.configuration import chosen_config, config_option
from bacon.commands.printing import print_absent
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.plan.plan import Plan


@click.command("report")
@config_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="HTML file to write.  [default: results/report.html, with --partial results/report_partial.html]",
)
@click.option("--partial", is_flag=True, help="Report what is there, and say what is not.")
def report_command(config_file: str | None, output: Path | None, partial: bool) -> None:
    """Write the report of finished results. If any are missing or out of date, name them and write nothing.

    With --partial, the report is made of the results that are there. It says at its top, and beneath each table, what is not.

    `snakemake` updates the report after every change. Use this command to write it elsewhere, for another configuration of
    the same results, or while they are being computed.
    """
    from bacon.operations.job_status import size
    from bacon.operations.workflow_plan import aggregate_fingerprint, load_plan, partial_fingerprint, report_fingerprint
    from bacon.reporting.collect.absent import COMPLETE, find_absent
    from bacon.reporting.page.make_report import make
    from bacon.reporting.targets import PARTIAL_REPORT, PUBLISHED, REPORT

    plan, target = load_plan(chosen_config(config_file)), output or Path(PARTIAL_REPORT if partial else REPORT)
    absent, fingerprint = find_absent(plan) if partial else COMPLETE, report_fingerprint(plan, PUBLISHED)
    try:
        make(
            plan,
            fingerprint=partial_fingerprint(fingerprint, absent) if partial else fingerprint,
            figures_fingerprint=aggregate_fingerprint(plan, "figures", PUBLISHED),
            output=target,
            published=PUBLISHED,
            absent=absent,
        )
    except BaconError as error:
        if partial:
            raise
        raise BaconError(f"{error}{_advice(plan)}") from error
    print_absent(absent)
    click.echo(f"wrote {target}: {len(plan.cells)} cells, {size(target.stat().st_size)}")


def _advice(plan: Plan) -> str:
    """How many results are not there, and that a report can do without them; empty where all are."""
    from bacon.reporting.collect.absent import find_absent

    counts = find_absent(plan).counts()
    return f" In all, {counts} are not there; `bacon report --partial` reports the others." if counts else ""
