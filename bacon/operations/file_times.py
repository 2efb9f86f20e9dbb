"""Times of files that are right by content, put in the order in which Snakemake would have made them. No torch.

Snakemake makes a file again that is older than one it is made from. Copies of results have the times of the copying: in any
order, a newer data set would cost every distillation again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from bacon.operations.products import Found, Product


def order_times(directory: Path, found: Found, *, is_recorded: Callable[[Product], bool]) -> list[Path]:
    """Make no right file older than the right files it is made from; times only grow, and no file's content is touched.

    Args:
        directory: the working directory.
        found: what is right.
        is_recorded: whether Snakemake made this very product here. It then knows the checksums of its inputs and compares them,
            so that a forced distillation is followed by its evaluation; only data sets and training runs, which their
            fingerprint decides, are taken for unchanged.

    Returns:
        Files whose time could not be set, in a folder that cannot be written: Snakemake may make them again.
    """
    return [path for product in found.right for path in _after_inputs(directory, found, product, is_recorded)]


def _after_inputs(
    directory: Path, found: Found, product: Product, is_recorded: Callable[[Product], bool]
) -> Iterable[Path]:
    outputs = [directory / path for path in (*product.outputs, product.benchmark) if (directory / path).exists()]
    oldest = min(map(_time, outputs))
    newer = [path for path in product.inputs if path in found.right_files and _time(directory / path) > oldest]
    if any(path not in product.prepared for path in newer) and is_recorded(product):
        newer = [path for path in newer if path in product.prepared]
    if not newer:
        return
    latest = max(_time(directory / path) for path in newer)
    for path in outputs:
        if _time(path) < latest:
            try:
                os.utime(path, ns=(latest, latest))
            except OSError:
                yield path


def _time(path: Path) -> int:
    """Nanoseconds since the epoch; a file that a link points to counts, as for Snakemake."""
    return path.stat().st_mtime_ns
