"""What distilled sets cost: time, energy, memory, networks trained beforehand, storage, and training on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bacon.reporting.collect.costs import LEAST_ALONE, PRIOR, TOTALS, evaluation_costs
from bacon.reporting.collect.distilled_files import STORAGE
from bacon.reporting.tables.markup import MISSING, Grid
from bacon.reporting.tables.report_table import ReportTable

_MEASURES = ("wall_seconds", "iterations_per_second", "peak_memory_mib", "energy_joules")
_EVALUATION = ("evaluation_seconds", "evaluation_steps", "evaluation_images", "teacher_bytes", "view_label_bytes")
SHARED_MARK = "\N{DAGGER}"
"""Behind energy of a device that the job did not have for itself."""


def cost_table(cost: pd.DataFrame, accuracy: pd.DataFrame, network: str, further: Sequence[str]) -> ReportTable:
    """The table ``cost``.

    Args:
        cost: rows of :func:`bacon.reporting.collect.distilled_files.collect_cost`.
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        network: the evaluation network whose training is counted.
        further: notes that stand below it too.
    """
    frame = with_evaluation(summarise_cost(cost), accuracy, network)
    lines = [*cost_notes(cost), *evaluation_notes(frame, network), *further]
    grids = [*cost_grids(frame), *whole_cost_grids(frame)]
    return ReportTable(title="Cost of distillation", frame=frame, notes=lines, grids=[(grid, lines) for grid in grids])


def cost_notes(cost: pd.DataFrame) -> list[str]:
    """Notes below the cost table, on distillation."""
    return [
        "Cost of making one distilled set, mean ± sd over n distillation seeds (sd: sample standard deviation), "
        "without the training of networks that the method needs beforehand, which its cells share and which stands apart.",
        "Peak memory: allocated on the GPU, or of the whole process on the CPU.",
        energy_note(cost),
        "Storage: size of one set, uncompressed; images, then + labels + decoder if they take any.",
        f"Device: {'; '.join(cost['device'].drop_duplicates())}.",
    ]


def energy_note(cost: pd.DataFrame) -> str:
    """What energy is and whose, or that it is unknown.

    Args:
        cost: with ``energy_joules`` and ``energy_source``.
    """
    known = cost["energy_joules"].notna()
    if not known.any():
        return "Energy: unknown, because no device told it; it is never estimated."
    missing = "" if known.all() else f" {MISSING}: the device did not tell it."
    return (
        f"Energy: what the whole device took meanwhile, by its own counter ({', '.join(_sources(cost))}: of the GPU, or of "
        f"the CPU packages and their memory), whoever used it. {SHARED_MARK}: the job had less than {100 * LEAST_ALONE:.0f} % "
        f"of the device's use, or the device did not say.{missing}"
    )


def _sources(cost: pd.DataFrame) -> list[str]:
    texts = cost.loc[cost["energy_source"] != "", "energy_source"].drop_duplicates()
    return sorted({source for text in texts for source in str(text).split("; ")})


def evaluation_notes(frame: pd.DataFrame, network: str) -> list[str]:
    """Notes below the cost table, on networks trained beforehand and on evaluation."""
    prior = (
        "Networks beforehand: training of the networks that the method distils with and of the teachers of its evaluation, as "
        "if for this set alone, and divided evenly among the sets of this grid that they were trained for. In all: "
        "distillation and these networks."
    )
    seen = (
        f"Evaluation: of one evaluation seed with the network {network}, under the protocol of the accuracies; images: of all "
        "batches of the steps."
    )
    if frame["teacher_bytes"].any():
        seen += " Teachers: their weights, which whoever trains on the set needs too."
    needed = frame[[f"{name}_mean" for name in PRIOR if "seconds" in name]].to_numpy().any()
    return [*([prior] if needed else ["No method of this grid needs networks trained beforehand."]), seen]


def summarise_cost(cost: pd.DataFrame) -> pd.DataFrame:
    """One row per data set, method and IPC.

    Returns:
        Columns: dataset, dataset_title, method, method_title, ipc, n, iterations, then mean and sd of wall_seconds,
        iterations_per_second, peak_memory_mib and energy_joules (``wall_seconds_mean``, ``wall_seconds_sd``, ...),
        means of what networks trained beforehand cost (``training_seconds_alone_mean``, ...) and of both together
        (``seconds_alone_mean``, ...), image_bytes, label_bytes, decoder_bytes (most of the n), energy_source,
        energy_least_share (least of the n; missing where any is unknown), device. sd is missing for n = 1, the rate
        where there was no iteration, joules where those of any seed are unknown.
    """
    keys = ["dataset", "dataset_title", "method", "method_title", "ipc"]
    named = {f"{name}_{label}": (name, how) for name in _MEASURES for label, how in (("mean", _mean), ("sd", "std"))}
    grouped = cost.groupby(keys, sort=False).agg(
        n=("seed", "size"),
        iterations=("iterations", "max"),
        **named,
        **{f"{name}_mean": (name, _mean) for name in (*PRIOR, *TOTALS)},
        **{name: (name, "max") for name in STORAGE},
        energy_source=("energy_source", _joined),
        energy_least_share=("energy_least_share", lambda shares: shares.min(skipna=False)),
        device=("device", _joined),
    )
    return grouped.reset_index()


def _mean(values: pd.Series[float]) -> float:
    """The mean of all, unknown where one is."""
    return float(values.mean(skipna=False))


def _joined(texts: pd.Series[str]) -> str:
    return "; ".join(text for text in texts.drop_duplicates() if text)


def with_evaluation(summary: pd.DataFrame, accuracy: pd.DataFrame, network: str) -> pd.DataFrame:
    """Rows of :func:`summarise_cost` with what training on the sets takes, with one evaluation network."""
    costs = evaluation_costs(accuracy[accuracy["network"] == network])
    own = costs[["dataset", "method", "ipc", *_EVALUATION]].astype({"ipc": "int64"})
    return summary.merge(own, on=["dataset", "method", "ipc"], how="left", validate="one_to_one")


def cost_grids(summary: pd.DataFrame) -> list[Grid]:
    """Rows of :func:`summarise_cost` arranged for reading, one grid per data set: distillation."""
    return [_cost_grid(group) for _, group in summary.groupby("dataset", sort=False)]


def _cost_grid(summary: pd.DataFrame) -> Grid:
    has_energy = summary["energy_joules_mean"].notna().any()
    columns = [
        "Method", "IPC", "n", "Iterations", "Wall time (s)", "Iterations/s", *(["Energy (kJ)"] if has_energy else []),
        "Peak memory (MiB)", "Storage (KiB)",
    ]  # fmt: skip
    rows = [
        (
            str(row["method_title"]),
            str(row["ipc"]),
            str(row["n"]),
            str(row["iterations"]),
            spread_text(row, "wall_seconds"),
            spread_text(row, "iterations_per_second"),
            *([_energy_cell(row)] if has_energy else []),
            spread_text(row, "peak_memory_mib"),
            _storage_cell(row),
        )
        for _, row in summary.iterrows()
    ]
    title = f"Cost of distillation, {summary['dataset_title'].iloc[0]}"
    return Grid(title=title, groups=(), columns=tuple(columns), rows=tuple(rows))


def whole_cost_grids(frame: pd.DataFrame) -> list[Grid]:
    """Rows of :func:`with_evaluation` arranged for reading, one grid per data set: networks beforehand, and evaluation."""
    return [_whole_grid(group) for _, group in frame.groupby("dataset", sort=False)]


def _whole_grid(frame: pd.DataFrame) -> Grid:
    """Columns of what no method of the data set has are left out."""
    beforehand = {
        how: frame[f"training_seconds_{how}_mean"] + frame[f"teacher_seconds_{how}_mean"] for how in ("alone", "shared")
    }
    needed, taught = bool(beforehand["alone"].any()), bool(frame["teacher_bytes"].any())
    columns: dict[str, list[str]] = {
        "Method": [str(title) for title in frame["method_title"]],
        "IPC": [str(ipc) for ipc in frame["ipc"]],
    }
    if needed:
        columns["Networks beforehand: alone (s)"] = [three_digits(value) for value in beforehand["alone"]]
        columns["shared (s)"] = [three_digits(value) for value in beforehand["shared"]]
        columns["In all: alone (s)"] = [three_digits(value) for value in frame["seconds_alone_mean"]]
    if needed and frame["joules_alone_mean"].notna().any():
        columns["alone (kJ)"] = [energy_text(row["joules_alone_mean"], row) for _, row in frame.iterrows()]
    if taught:
        columns["Teachers (KiB)"] = [three_digits(value / 1024) for value in frame["teacher_bytes"]]
    columns["Evaluation (s)"] = [three_digits(value) for value in frame["evaluation_seconds"]]
    columns["Steps"] = [_count(value) for value in frame["evaluation_steps"]]
    columns["Images"] = [_count(value) for value in frame["evaluation_images"]]
    title = f"{'Networks trained beforehand, and training' if needed else 'Training'} on the sets, "
    return Grid(
        title=title + str(frame["dataset_title"].iloc[0]),
        groups=(),
        columns=tuple(columns),
        rows=tuple(zip(*columns.values(), strict=True)),
    )


def _storage_cell(row: pd.Series[Any]) -> str:
    """Images, and labels and decoder where they take room: ``12.0 + 0.4 + 0.0``; most methods store images alone."""
    sizes = [float(row[name]) / 1024 for name in STORAGE]
    return " + ".join(f"{size:,.1f}" for size in (sizes if any(sizes[1:]) else sizes[:1]))


def _energy_cell(row: pd.Series[Any]) -> str:
    """Mean and sd in kJ: ``12.3 ± 0.4``; marked where the device was shared."""
    if pd.isna(row["energy_joules_mean"]):
        return MISSING
    scaled = row[["energy_joules_mean", "energy_joules_sd"]].astype("float64") / 1000
    return spread_text(scaled, "energy_joules") + shared_mark(row)


def energy_text(joules: float, row: pd.Series[Any]) -> str:
    """Joules in kJ; marked where the device was shared, a dash where unknown."""
    return MISSING if math.isnan(joules) else three_digits(joules / 1000) + shared_mark(row)


def shared_mark(row: pd.Series[Any]) -> str:
    """The mark of energy of a device that the job did not have for itself, or did not say that it had."""
    return "" if row["energy_least_share"] >= LEAST_ALONE else SHARED_MARK


def _count(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.0f}"


def three_digits(value: float) -> str:
    """Three significant digits, or all before the point: ``0.0123``, ``1.23``, ``1234``; a dash where it is missing."""
    if math.isnan(value):
        return MISSING
    shown = abs(float(f"{value:.3g}"))  # 9.996 is 10.0
    if shown == 0 or shown >= 100:
        return f"{value:.0f}"
    return f"{value:.{2 - math.floor(math.log10(shown))}f}"


def spread_text(row: pd.Series[Any], name: str) -> str:
    """Mean and sample standard deviation of a measure in a row of :func:`summarise_cost`."""
    mean, sd = float(row[f"{name}_mean"]), float(row[f"{name}_sd"])
    if math.isnan(mean):
        return MISSING
    # Three significant digits of the mean, and as many decimals for the sd.
    decimals = 0 if abs(mean) >= 100 else 1 if abs(mean) >= 10 else 2
    return f"{mean:.{decimals}f}" + ("" if math.isnan(sd) else f" ± {sd:.{decimals}f}")
