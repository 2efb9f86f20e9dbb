"""``bacon leaderboard``: the results of many folders on one page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("leaderboard")
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="HTML file to write; cards are linked relative to it.",
)
def leaderboard_command(folders: tuple[Path, ...], output: Path) -> None:
    """Write one page that ranks the methods of many result folders (docs/report.md).

    FOLDER is a folder of results whose tables are finished (results, or the folder it lies in), or one that holds files
    written by `bacon evaluate --output`: this is how a distilled set from elsewhere is ranked.
    """
    from bacon.operations.job_status import size
    from bacon.reporting.page.make_leaderboard import make

    rows = make(folders, output)
    click.echo(f"wrote {output}: {rows} rows, {size(output.stat().st_size)}")
