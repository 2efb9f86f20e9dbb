from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from bacon.methods.figure_places import given_places
from bacon.methods.registry import METHODS
from bacon.reporting.collect.evaluations import collect_accuracy
from bacon.reporting.collect.published import PublishedResults
from bacon.reporting.figures.style import figure_style, method_styles
from tests.reporting.fakes import evaluation, record

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def styles() -> Iterator[None]:
    """Methods look as their records say, as in the figures of a plan."""
    with figure_style(method_styles(given_places(METHODS.values()), {})):
        yield


@pytest.fixture(scope="session")
def published() -> PublishedResults:
    return PublishedResults.read(ROOT / "resources" / "published_results.csv")


@pytest.fixture
def accuracy_of(tmp_path: Path) -> Callable[..., pd.DataFrame]:
    """A small grid on one data set: full, random and BACON, IPC 1 and 10, two seeds, BACON with a snapshot at 0."""

    def build(dataset: str = "digits") -> pd.DataFrame:
        expected = [
            evaluation(
                tmp_path,
                [record(0, seed, accuracy) for seed, accuracy in enumerate((0.96, 0.98))],
                dataset=dataset,
                method="full",
                ipc=None,
                seed=None,
                settings={"epochs": 40},
            )
        ]
        for ipc, base in ((1, 0.30), (10, 0.50)):
            for seed in (0, 1):
                final = [record(0, one, base + 0.02 * seed + 0.01 * one) for one in (0, 1)]
                expected.append(evaluation(tmp_path, final, dataset=dataset, method="random", ipc=ipc, seed=seed))
                snapshot = record(0, 0, base + 0.05 * seed, final=False)
                final = [record(200, one, base + 0.20 + 0.02 * seed + 0.01 * one) for one in (0, 1)]
                expected.append(evaluation(tmp_path, [snapshot, *final], dataset=dataset, ipc=ipc, seed=seed))
        return collect_accuracy(expected)

    return build
