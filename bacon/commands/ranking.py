"""``bacon ranking`` and ``bacon checkpoints``: the tables of what a validation split chose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    import pandas as pd


@click.command("ranking")
@click.option("--table", "path", default="results/tables/ranking.csv", show_default=True, help="The table.")
def ranking_command(path: str) -> None:
    """Print DD-Ranking's scores of the last run (protocol: dd-ranking)."""
    from bacon.commands.printing import print_table
    from bacon.reporting.tables.ranking_tables import spread

    table = _read(Path(path), "set `protocol: dd-ranking`")
    columns = ("data set", "network", "IPC", "method", "HLR ↓", "IOR ↑", "LRS ↑", "ARS ↑", "n")
    rows = [
        (
            *(str(row[name]) for name in ("dataset_title", "network", "ipc", "method_title")),
            *(spread(row[f"{name}_mean"], row[f"{name}_sd"], 3) for name in ("hlr", "ior", "lrs", "ars")),
            f"{row['n']} x {row['evaluation_seeds']}",
        )
        for _, row in table.iterrows()
    ]
    print_table("DD-Ranking: mean ± sd over n distillation seeds x evaluation seeds", columns, rows)
    for protocol in table["protocol"].unique():
        click.echo(protocol)


@click.command("checkpoints")
@click.option("--table", "path", default="results/tables/checkpoints.csv", show_default=True, help="The table.")
def checkpoints_command(path: str) -> None:
    """Print the test accuracy of the checkpoints that were best on the validation split in the last run."""
    from bacon.commands.printing import print_table
    from bacon.reporting.tables.ranking_tables import spread

    table = _read(Path(path), "give every data set a `validation` split and evaluate snapshots (`snapshot_seeds`)")
    columns = ("data set", "network", "IPC", "method", "best on validation", "last", "n", "of", "iterations")
    rows = [
        (
            *(str(row[name]) for name in ("dataset_title", "network", "ipc", "method_title")),
            *(spread(row[f"{name}_mean_percent"], row[f"{name}_sd_percent"], 1) for name in ("test", "last")),
            f"{row['n']} x {row['evaluation_seeds']}",
            f"{row['checkpoints']} checkpoints",
            str(row["iterations"]),
        )
        for _, row in table.iterrows()
    ]
    print_table("Test accuracy (%): mean ± sd over n distillation seeds x evaluation seeds", columns, rows)


def _read(path: Path, advice: str) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise BaconError(f"{path}: the table does not exist; {advice} in the configuration and run `snakemake`")
    return pd.read_csv(path, dtype={"iterations": "str"})
