"""``bacon report``: the report of existing results, without the workflow."""

from __future__ import annotations

from pathlib import Path

import click

from bacon.commands.configuration import chosen_config, config_option


@click.command("report")
@config_option
@click.option("--output", type=click.Path(path_type=Path), help="HTML file to write.  [default: results/report.html]")
def report_command(config_file: str | None, output: Path | None) -> None:
    """Write the report of finished results. If any are missing or out of date, name them and write nothing.

    `snakemake` updates the report after every change. Use this command to write it elsewhere, or for another
    configuration of the same results.
    """
    from bacon.operations.job_status import size
    from bacon.operations.workflow_plan import aggregate_fingerprint, load_plan, report_fingerprint
    from bacon.reporting.page.make_report import make
    from bacon.reporting.targets import PUBLISHED, REPORT

    plan, target = load_plan(chosen_config(config_file)), output or Path(REPORT)
    make(
        plan,
        fingerprint=report_fingerprint(plan, PUBLISHED),
        figures_fingerprint=aggregate_fingerprint(plan, "figures", PUBLISHED),
        output=target,
        published=PUBLISHED,
    )
    click.echo(f"wrote {target}: {len(plan.cells)} cells, {size(target.stat().st_size)}")
