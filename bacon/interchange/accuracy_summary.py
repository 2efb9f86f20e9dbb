"""What an export's card says of the accuracy of networks trained on the set."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np

from bacon.artifacts.evaluation_records import Record
from bacon.reporting.collect.statistics import confidence_interval

FRACTIONS = (0.0, 1.0)
"""Where an accuracy lies."""


def accuracy_summary(records: Sequence[Record]) -> dict[str, Any]:
    """Accuracy over evaluation seeds of one distilled set, in [0, 1]; augmentations of a seed are averaged.

    Returns:
        ``mean``; ``sd``, the sample standard deviation; ``n``, the number of seeds; ``interval``, the 95 % Student-t interval
        of the mean over such networks, ``[low, high]``. ``sd`` and ``interval`` of a single seed are ``None``.
    """
    seeds = sorted({record.evaluation_seed for record in records})
    values = [mean(one.test_accuracy for one in records if one.evaluation_seed == seed) for seed in seeds]
    several = len(values) > 1
    return {
        "mean": mean(values),
        "sd": stdev(values) if several else None,
        "n": len(values),
        "interval": list(confidence_interval(np.array(values), FRACTIONS)) if several else None,
    }
