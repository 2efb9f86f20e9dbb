"""``bacon export``: a cell's distilled set for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bacon.commands.configuration import chosen_config, config_option

_FORMATS = ("pt", "safetensors", "npz", "png", "huggingface", "dd-ranking", "dc-bench")


@click.command("export")
@click.argument("cell_name", metavar="CELL")
@click.option("--format", "kind", type=click.Choice(_FORMATS), required=True, help="Format to write.")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write it to."
)
@click.option(
    "--form",
    type=click.Choice(("decoded", "stored")),
    default="decoded",
    show_default=True,
    help="decoded: training images; stored: images as they were optimised, partitioned for some methods.",
)
@click.option("--force", is_flag=True, help="Replace an existing file or folder.")
@config_option
def export_command(cell_name: str, kind: str, output: Path, form: Any, force: bool, config_file: str | None) -> None:
    """Write the distilled set of CELL, such as digits/bacon/ipc10/seed0, for other programs (docs/use-a-distilled-set.md).

    pt, safetensors and npz hold normalised float32 images exactly; png and huggingface hold 8-bit pixels, one folder
    per class. dd-ranking and dc-bench are what the evaluation programs of these benchmarks read.
    """
    from bacon.config.setting_errors import check_name
    from bacon.interchange.export_cell import export_cell
    from bacon.operations.workflow_plan import load_plan
    from bacon.settings.cells import Cell

    plan, cell = load_plan(chosen_config(config_file)), Cell.parse(cell_name)
    check_name("CELL", str(cell), [str(known) for known in plan.cells])
    path = export_cell(plan, cell, kind=kind, form=form, output=output, force=force)
    click.echo(f"wrote {path}")
