"""What tables and figures call data sets and methods, and how they draw them. No torch."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from bacon.config.loading import data_settings
from bacon.config.model import Config
from bacon.datasets.registry import REGISTRY
from bacon.methods.figure_places import given_places
from bacon.methods.registry import METHODS
from bacon.settings.cells import Cell


class Titles:
    """Names and figure places of the data sets and methods of a configuration.

    Args:
        config: a checked configuration.
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    def dataset_title(self, dataset: str) -> str:
        """Name of a data set in tables and figures."""
        title = data_settings(self.config, dataset).title
        return title or (REGISTRY[dataset].title if dataset in REGISTRY else dataset)

    @staticmethod
    def published_dataset(dataset: str) -> str | None:
        """Name of a data set among the published results; ``None`` when none are published."""
        return REGISTRY[dataset].published_name if dataset in REGISTRY else None

    def method_title(self, method: str) -> str:
        """Name of a method or variant in tables and figures."""
        if method in self.config.variants:
            return self.config.variants[method].title or method
        return METHODS[method].title

    def published_method(self, method: str) -> str | None:
        """Name of a method among the published results; ``None`` for a variant, on which nothing is published."""
        if method in self.config.variants:
            return None
        return METHODS[method].published_name or METHODS[method].title

    @cached_property
    def figure_places(self) -> dict[str, int]:
        """Method -> its place in the figures' sequence of colours and markers; the grid has no say in it."""
        return given_places(METHODS.values())

    @cached_property
    def term_titles(self) -> dict[str, str]:
        """Loss term -> its name in figures, in the order in which the methods of the grid name them."""
        bases = dict.fromkeys(map(self.config.base_method, self.config.grid.methods))
        return {term: title for method in bases for term, title in METHODS[method].term_titles.items()}

    def names(self, cell: Cell) -> tuple[Any, ...]:
        """What tables and figures call a cell's data set and method, and how they draw the method: in their fingerprints."""
        dataset, base = cell.dataset, self.config.base_method(cell.method)
        return (
            self.dataset_title(dataset),
            self.published_dataset(dataset),
            self.method_title(cell.method),
            self.published_method(cell.method),
            self.figure_places[base],
            list(self.config.variants).index(cell.method) if cell.method in self.config.variants else None,
            tuple(sorted(METHODS[base].term_titles.items())),
        )
