"""DD-Ranking's scores and the checkpoints that a validation split chooses, arranged for reading."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from bacon.reporting.collect.dd_ranking import SCORES
from bacon.reporting.collect.protocol_text import TIMES, is_soft
from bacon.reporting.tables.markup import Grid

_BETTER = {"hlr": "\N{DOWNWARDS ARROW}"} | dict.fromkeys(("ior", "lrs", "ars"), "\N{UPWARDS ARROW}")
"""Whether less or more is better."""


def ranking_grids(table: pd.DataFrame) -> list[Grid]:
    """Rows of :func:`bacon.reporting.collect.dd_ranking.rank`, a grid per data set and network, best LRS first at each IPC."""
    columns = (
        "Method", "IPC", *(f"{name.upper()} {_BETTER[name]}" for name in SCORES), "n", "Augmentation", "of random images",
    )  # fmt: skip
    return _grids(table, "DD-Ranking's scores", columns, _ranking_row)


def _ranking_row(row: pd.Series[Any]) -> tuple[str, ...]:
    return (
        str(row["method_title"]),
        str(row["ipc"]),
        *(spread(row[f"{name}_mean"], row[f"{name}_sd"], 3) for name in SCORES),
        _count(row),
        str(row["augmentation"]),
        str(row["random_augmentation"]),
    )


def ranking_notes(table: pd.DataFrame) -> list[str]:
    """What stands beneath the scores."""
    return [
        "DD-Ranking's scores from test accuracies as fractions: mean ± sample standard deviation over n distillation seeds "
        f"{TIMES} evaluation seeds of each. HLR: accuracy with real data minus that with the method, both without augmentation "
        "(lower is better). IOR: the method minus random images of the same seed, each with the augmentation that is best on "
        "validation, named in the last columns (higher is better). LRS, 0 to 1: HLR and IOR in one number. ARS, 0 to 1: gains "
        "over random images with and without augmentation in one number. Each augmentation of the protocol counts separately; "
        f"they are not averaged. Ordered by LRS at each IPC. {_labels_text(table)}; no test accuracy chose anything.",
        f"Protocol: {'; '.join(table['protocol'].drop_duplicates())}.",
    ]


def _labels_text(table: pd.DataFrame) -> str:
    """Which labels the scores are of; HLR, the hard label recovery, is defined for hard ones."""
    soft = [is_soft(protocol) for protocol in table["protocol"]]
    if not any(soft):
        return "All labels are hard"
    titles = ", ".join(table.loc[soft, "method_title"].drop_duplicates())
    return f"Trained with soft labels, where HLR is not comparable to that of hard labels: {titles}"


def checkpoint_grids(table: pd.DataFrame) -> list[Grid]:
    """Rows of :func:`bacon.reporting.collect.best_checkpoints.best_checkpoints`, a grid per data set and network."""
    columns = ("Method", "IPC", "Best on validation", "Last", "n", "Checkpoints", "Iterations chosen")
    return _grids(table, "checkpoints chosen on the validation split", columns, _checkpoint_row)


def _checkpoint_row(row: pd.Series[Any]) -> tuple[str, ...]:
    return (
        str(row["method_title"]),
        str(row["ipc"]),
        *(spread(row[f"{name}_mean_percent"], row[f"{name}_sd_percent"], 1) for name in ("test", "last")),
        _count(row),
        str(row["checkpoints"]),
        ", ".join(str(row["iterations"]).split()),
    )


def checkpoint_notes(table: pd.DataFrame) -> list[str]:
    """What stands beneath the checkpoints."""
    if table.empty:
        return [
            "Only the last iteration was evaluated (`evaluation.snapshot_seeds`): there is no checkpoint to choose from."
        ]
    return [
        "Best on validation: test accuracy in percent of the evaluated iteration whose accuracy on the validation "
        "split is the highest, chosen for each distillation seed (last column, in the order of the seeds). Last: "
        "the last iteration, with the same evaluation seeds. Mean ± sample standard deviation over n distillation "
        f"seeds {TIMES} evaluation seeds of each. No choice uses test accuracy; every other table shows the last "
        "iteration.",
        f"Protocol: {'; '.join(table['protocol'].drop_duplicates())}.",
    ]


def spread(mean: float, sd: float, decimals: int) -> str:
    """``0.240 ± 0.014``, the mean alone where there is no standard deviation."""
    return f"{mean:.{decimals}f}" + ("" if math.isnan(sd) else f" ± {sd:.{decimals}f}")


def _count(row: pd.Series[Any]) -> str:
    return f"{row['n']} {TIMES} {row['evaluation_seeds']}"


def _grids(
    table: pd.DataFrame, what: str, columns: tuple[str, ...], make: Callable[[pd.Series[Any]], tuple[str, ...]]
) -> list[Grid]:
    several = table["network"].nunique() > 1
    return [
        Grid(
            title=f"{group['dataset_title'].iloc[0]}{f', {network}' if several else ''}: {what}",
            groups=(),
            columns=columns,
            rows=tuple(make(row) for _, row in group.iterrows()),
        )
        for (_, network), group in table.groupby(["dataset", "network"], sort=False)
    ]
