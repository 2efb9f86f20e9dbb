"""Notes below tables on labels that teachers make, and on networks trained beforehand that have learned nothing."""

from __future__ import annotations

import pandas as pd

MEBIBYTE = 2**20


def storage_notes(accuracy: pd.DataFrame) -> list[str]:
    """What labels of teachers take beside the images, of rows of ``collect_accuracy``; nothing where none has such labels.

    Args:
        accuracy: with ``view_label_bytes`` and ``teacher_bytes``.
    """
    final = accuracy[accuracy["final"] & (accuracy["teacher_bytes"] > 0)]
    if final.empty:
        return []
    each = final.groupby(["dataset_title", "method_title", "ipc"], sort=False, dropna=False)
    sizes = each[["view_label_bytes", "teacher_bytes"]].max().reset_index()
    parts = [
        f"{row['dataset_title']}, {row['method_title']}{_ipc_text(row['ipc'])}: "
        f"{row['view_label_bytes'] / MEBIBYTE:,.1f} MiB (teachers {row['teacher_bytes'] / MEBIBYTE:,.1f} MiB)"
        for _, row in sizes.iterrows()
    ]
    return [
        "Labels of teachers are made for every view of every image, and are not in the storage of a set. Those of one network "
        f"would take, as float32 logits, {'; '.join(parts)}."
    ]


def chance_notes(accuracy: pd.DataFrame, cost: pd.DataFrame) -> list[str]:
    """A warning for each cell whose teachers, or whose other networks trained on the real set, are at chance level.

    Args:
        accuracy: rows of ``collect_accuracy``.
        cost: rows of ``collect_cost``.
    """
    evaluated = accuracy.loc[accuracy["teachers_at_chance"].notna(), [*_PLACE, "teachers_at_chance"]].drop_duplicates()
    distilled = cost.loc[cost["at_chance"] != "", [*_PLACE, "at_chance"]]
    found = [("labelled", row) for row in evaluated.itertuples(index=False)]
    found += [("distilled", row) for row in distilled.itertuples(index=False)]
    return [
        f"Warning: {row[0]}/{row[1]}{'' if pd.isna(row[2]) else f'/ipc{row[2]}/seed{row[3]}'} was {verb} with networks that "
        f"classify the training images hardly better than chance: {row[4]}. Its accuracy says little; train them longer, or "
        "with another rate."
        for verb, row in found
    ]


def _ipc_text(ipc: object) -> str:
    return "" if ipc is pd.NA else f", IPC {ipc}"


_PLACE = ["dataset", "method", "ipc", "seed"]
