"""What reports need of distilled HDF5 files, read without torch: cost, loss history, images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from bacon.artifacts.distilled_layout import (
    HDF5_DAMAGE,
    data_set,
    read_classes,
    snapshot_iterations,
    soft_label_words,
)
from bacon.datasets.store import read_whitening
from bacon.datasets.whitening import Whitening
from bacon.reporting.collect.costs import CellKey, Costs, with_prior
from bacon.reporting.collect.evaluations import RERUN, ExpectedDistilled, check_fingerprint
from bacon.runtime.errors import BaconError

MEBIBYTE = 2.0**20
STORAGE = ("image_bytes", "label_bytes", "decoder_bytes")
"""Attributes of a distilled file: bytes of images, labels and decoder."""
Choice = Callable[[npt.NDArray[np.int64], int], npt.NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class DisplayImages:
    """The images of one distilled set, ready for a grid.

    Attributes:
        final: (M, C, H, W) float32 in [0, 1]: stored form, denormalised and clipped for display.
        initial: the same at iteration 0, or ``None`` where no such snapshot was kept.
        labels: (M,) int64, the class of each final image.
        initial_labels: of each initial image; the same unless the method moves images between classes.
        label_words: note on soft labels; empty where there are none.
        class_names: one per class.
        iterations: distillation iterations of ``final``.
        partition: a stored image holds partition^2 smaller images.
    """

    final: npt.NDArray[np.float32]
    initial: npt.NDArray[np.float32] | None
    labels: npt.NDArray[np.int64]
    initial_labels: npt.NDArray[np.int64]
    label_words: str
    class_names: tuple[str, ...]
    iterations: int
    partition: int


@contextmanager
def open_distilled(expected: ExpectedDistilled) -> Iterator[h5py.File]:
    """The file, open for reading, its fingerprint checked; :class:`BaconError` if missing, damaged, older or incomplete."""
    if not expected.path.is_file():
        raise BaconError(f"{expected.path}: the distilled set is missing. {RERUN}")
    try:
        with h5py.File(expected.path, "r") as file:
            check_fingerprint(expected.path, expected=expected.fingerprint, found=file.attrs.get("fingerprint"))
            yield file
    except HDF5_DAMAGE as error:
        raise BaconError(
            f"{expected.path}: not a complete distilled set ({error}). Delete it and run `snakemake` again."
        ) from error


def collect_cost(
    expected: Sequence[ExpectedDistilled], teachers: Mapping[CellKey, Costs] | None = None
) -> pd.DataFrame:
    """What each distilled set cost, one row per file.

    Args:
        expected: the distilled files, in the order of the tables.
        teachers: what the teachers of the evaluations cost, of :func:`bacon.reporting.collect.costs.teacher_costs`.

    Returns:
        Columns: dataset, method, ipc, seed, iterations, wall_seconds, iterations_per_second (missing where there was no
        iteration), peak_memory_mib, energy_joules (that the device took; missing where unknown), energy_share (of the
        device's use that was the job's; missing where unknown), energy_source, image_bytes, label_bytes, decoder_bytes
        (what the set takes in its stored form), device, divergence (what the distillation saw when it ran off to huge
        numbers; else empty), at_chance (networks trained beforehand that classified their images hardly better than
        chance; else empty), fingerprint, dataset_title, method_title, and what networks trained beforehand cost
        (:func:`bacon.reporting.collect.costs.with_prior`).

    Raises:
        BaconError: a file is missing, unreadable or of another fingerprint.
    """
    if not expected:
        raise BaconError("there are no distilled sets, because the grid of the configuration has no cells")
    return with_prior(pd.DataFrame([cost_row(one) for one in expected]), teachers)


def cost_row(expected: ExpectedDistilled) -> dict[str, Any]:
    """What one file says of itself, and its networks trained beforehand as JSON; errors as :func:`collect_cost`."""
    with open_distilled(expected) as file:
        attributes = file.attrs
        iterations = int(attributes["iterations"])
        return {
            "dataset": expected.dataset,
            "method": expected.method,
            "ipc": expected.ipc,
            "seed": expected.seed,
            "iterations": iterations,
            "wall_seconds": float(attributes["wall_seconds"]),
            "iterations_per_second": float(attributes["iterations_per_second"]) if iterations else float("nan"),
            "peak_memory_mib": float(attributes["peak_memory_bytes"]) / MEBIBYTE,
            **{name: float(attributes.get(name, float("nan"))) for name in ("energy_joules", "energy_share")},
            "energy_source": str(attributes.get("energy_source", "")),
            "trainings": str(attributes.get("training_costs", "{}")),
            **{name: int(attributes[name]) for name in STORAGE},
            "device": str(attributes["device"]),
            "divergence": str(attributes.get("divergence", "")),
            "at_chance": str(attributes.get("at_chance", "")),
            "fingerprint": expected.fingerprint,
            "dataset_title": expected.dataset_title,
            "method_title": expected.method_title,
        }


def divergence_notes(cost: pd.DataFrame) -> list[str]:
    """A warning for each distilled set that diverged, of rows of :func:`collect_cost`."""
    diverged = cost[cost["divergence"] != ""]
    return [
        f"Warning: {row['dataset']}/{row['method']}/ipc{row['ipc']}/seed{row['seed']} diverged: {row['divergence']}. Lower the "
        "method's learning rate."
        for _, row in diverged.iterrows()
    ]


def collect_history(expected: Sequence[ExpectedDistilled], *, windows: int = 100) -> pd.DataFrame:
    """The terms of the loss over the iterations, averaged over at most ``windows`` windows per distilled set.

    Per-iteration losses jump with the augmentation drawn, and 20,000 of them per term do not fit a figure.

    Args:
        expected: the distilled files; those without a history (selected real images) contribute nothing.
        windows: upper limit of points per curve.

    Returns:
        Columns: dataset, dataset_title, method, method_title, ipc, seed, term, iteration (the window's mean), value (the
        window's mean over the values that are finite), window (iterations per window). Empty, with these columns, if no
        file has a history.

    Raises:
        BaconError: a file is missing, unreadable or of another fingerprint.
    """
    columns = ["dataset", "dataset_title", "method", "method_title", "ipc", "seed"]
    frames = [pd.DataFrame(columns=[*columns, "term", "iteration", "value", "window"])]
    for one in expected:
        keys = {key: getattr(one, key) for key in columns}
        frames += [pd.DataFrame({**keys, **curve}) for curve in _curves(one, windows)]
    return pd.concat(frames[1:] or frames, ignore_index=True)


def _curves(expected: ExpectedDistilled, windows: int) -> list[dict[str, Any]]:
    with open_distilled(expected) as file:
        if "history" not in file or file["history/iteration"].shape[0] == 0:
            return []
        group = file["history"]
        iterations = group["iteration"][()].astype(np.float64)
        size = -(-len(iterations) // windows)
        starts = np.arange(0, len(iterations), size)
        spacing = size * (iterations[1] - iterations[0] if len(iterations) > 1 else 1.0)
        centre = _window_means(iterations, starts)
        return [
            {"term": term, "iteration": centre, "value": _window_means(group[term][()], starts), "window": int(spacing)}
            for term in group
            if term != "iteration"
        ]


def _window_means(values: npt.NDArray[Any], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean of the finite values between consecutive starts; NaN if there is none."""
    finite = np.isfinite(values)
    sums = np.add.reduceat(np.where(finite, values, 0.0).astype(np.float64), starts)
    counts = np.add.reduceat(finite.astype(np.float64), starts)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def display(file: h5py.File) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """What turns stored images of an open file into pixels in [0, 1]: denormalised or unwhitened, and clipped."""
    mean, std = (np.asarray(file.attrs[key], np.float32).reshape(1, -1, 1, 1) for key in ("mean", "std"))
    whitening, partition = read_whitening(file), int(file.attrs["partition"])

    def shown(stored: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        pixels = stored * std + mean if whitening is None else _unwhitened(stored, whitening, partition)
        return np.clip(pixels, 0.0, 1.0).astype(np.float32)

    return shown


def read_images(expected: ExpectedDistilled, *, choose: Choice | None = None) -> DisplayImages:
    """The images of a distilled set for display; :class:`BaconError` as :func:`open_distilled`.

    Args:
        expected: the distilled file; its fingerprint is checked.
        choose: from the labels (M,) int64 and the height of an image in pixels, the increasing indices of the images to
            read; all by default.
    """
    with open_distilled(expected) as file:
        iterations, partition = int(file.attrs["iterations"]), int(file.attrs["partition"])
        labels, height = read_classes(file), file["images"].shape[2]
        has_initial = iterations > 0 and 0 in snapshot_iterations(file)
        initial_labels = read_classes(file, 0) if has_initial else labels
        chosen, chosen_initially = (
            np.arange(len(own)) if choose is None else choose(own, height) for own in (labels, initial_labels)
        )
        shown = display(file)
        return DisplayImages(
            final=shown(file["images"][chosen]),
            initial=shown(file[data_set("images", 0)][chosen_initially]) if has_initial else None,
            labels=labels[chosen],
            initial_labels=initial_labels[chosen_initially],
            label_words=soft_label_words(file, chosen),
            class_names=tuple(json.loads(file.attrs["class_names"])),
            iterations=iterations,
            partition=partition,
        )


def _unwhitened(stored: npt.NDArray[np.float32], whitening: Whitening, partition: int) -> npt.NDArray[np.float32]:
    """Stored images (N, C, H, W), partitioned, in the space of pixels.

    Whitening is a map of whole images, so each part is blown up to one, mapped back and brought to its place again.
    """
    if partition == 1:
        return whitening.invert(stored)
    result, side = stored.copy(), stored.shape[2] // partition
    for row, column in np.ndindex(partition, partition):
        rows, columns = slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)
        whole = stored[:, :, rows, columns].repeat(partition, axis=2).repeat(partition, axis=3)
        result[:, :, rows, columns] = whitening.invert(whole)[:, :, ::partition, ::partition]
    return result
