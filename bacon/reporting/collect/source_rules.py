"""How published numbers are read: ``resources/published_sources.yaml``, checked. No torch, no pandas."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from bacon.runtime.errors import BaconError
from bacon.settings.base import Strict

SOURCE_RULES = Path(__file__).resolve().parents[3] / "resources" / "published_sources.yaml"


class Remark(Strict):
    """What is known of all numbers of a source for some methods."""

    methods: tuple[str, ...]
    source: str
    """Start of the source's name."""
    text: str


class OtherMethod(Strict):
    """Rows that a source files under the name of another method."""

    method: str
    """Name that the source prints."""
    source: str
    """Start of the source's name."""
    of: str = Field(alias="is")
    """Name of the method that it is."""
    why: str


class NoTarget(Strict):
    """Rows of one cell that nothing is compared with."""

    method: str
    dataset: str
    ipc: str
    why: str


class PaperTable(Strict):
    """The paper's Table 1."""

    source: str
    """Start of the name of its source."""
    datasets: dict[str, str]
    """Name among the published results -> name in the table, in the order of the paper."""
    first: tuple[str, ...]
    """Methods at the top, in order."""
    last: tuple[str, ...]
    """Methods at the bottom, in order; the others stand between, by name."""

    def place(self, method: str) -> tuple[int, int, str]:
        """What rows are sorted by."""
        if method in self.first:
            return 0, self.first.index(method), ""
        return (2, self.last.index(method), "") if method in self.last else (1, 0, method)


class PaperFigure(Strict):
    """The paper's Figure 3: accuracy against iterations."""

    datasets: tuple[str, ...]
    """Names among the published results."""
    remark: str
    """What its caption says of the published end points."""


class SourceRules(Strict):
    """Which source is preferred, what is known of it, and what reports repeat of the paper."""

    own: dict[str, tuple[str, ...]]
    """Method -> starts of the names of its own sources, first choice first."""
    quoting: tuple[str, ...]
    """Starts of the names of the sources that quote others, first choice first."""
    networks: dict[str, tuple[str, ...]]
    """Name of an evaluation network -> what the sources call it."""
    method_networks: dict[str, str]
    """Method -> name of the network that its numbers are of, where sources call it a ConvNet like any other."""
    no_network: tuple[str, ...]
    """Called so by a source, and no network that is trained: never compared with."""
    other_methods: tuple[OtherMethod, ...]
    not_targets: tuple[NoTarget, ...]
    remarks: tuple[Remark, ...]
    table1: PaperTable
    figure3: PaperFigure

    def network(self, method: str, architecture: str) -> str:
        """Our name of the network that a source calls ``architecture`` in a row of ``method``; empty where there is none."""
        named = next((name for name, texts in self.networks.items() if architecture in texts), "")
        return self.method_networks.get(method, named) if named else ""

    def method(self, method: str, source: str) -> str:
        """Name of the method whose number it is that ``source`` files under ``method``."""
        found = (one.of for one in self.other_methods if one.method == method and source.startswith(one.source))
        return next(found, method)

    def not_target(self, method: str, dataset: str, ipc: str) -> str:
        """Why nothing is compared with the numbers of this cell; empty where they are compared."""
        cell = (method, dataset, ipc)
        found = (one.why for one in self.not_targets if (one.method, one.dataset, one.ipc) == cell)
        return next(found, "")


@lru_cache(maxsize=4)
def source_rules(path: Path = SOURCE_RULES) -> SourceRules:
    """The rules in a file.

    Raises:
        BaconError: the file is missing, no YAML, or has keys or values that are not allowed.
    """
    try:
        return SourceRules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise BaconError(f"{path}: the file is missing; it is part of the repository, restore it") from error
    except yaml.YAMLError as error:
        raise BaconError(f"{path}: not valid YAML ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise BaconError(
            f"{path}: `{key}`: {first['msg']}; `git checkout {path.name}` restores the original"
        ) from error
