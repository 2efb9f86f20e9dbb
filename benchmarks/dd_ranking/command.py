"""``python -m benchmarks dd-ranking``: whether DD-Ranking still has the defects that docs/evaluation.md tells of."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.dd_ranking.defects import findings
from benchmarks.dd_ranking.package import FOLDER, load
from benchmarks.report import save

GONE = 1


@click.command("dd-ranking")
@click.option(
    "--package",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help="Folder that ddranking is installed in (tests/install-packages.sh ddranking).",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the same as JSON.")
def dd_ranking(package: Path, output: Path | None) -> None:
    """Defects of DD-Ranking's scores, by running its evaluators; exit code 1 once one of them is gone."""
    module, version = load(package)
    with tempfile.TemporaryDirectory(prefix="dd-ranking-") as folder:
        found = list(findings(module, Path(folder)))
    for each in found:
        click.echo(f"{each.name}\n  documented of 0.2.0: {each.documented}\n  found in {version}: {each.found}")
    save(output, {"version": version, "findings": [asdict(each) for each in found]})
    gone = [each.name for each in found if not each.present]
    if gone:
        click.echo(
            f"no longer as docs/evaluation.md says (DD-Ranking and DC-BENCH): {'; '.join(gone)}. Change it there."
        )
        raise SystemExit(GONE)
    click.echo(f"all {len(found)} as docs/evaluation.md says")
