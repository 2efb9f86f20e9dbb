"""What a configuration file may hold: the grid, data sets, layers of partial cell settings, and how jobs run.

The JSON schema in ``workflow/schemas`` is generated from ``Config``, and ``bacon.config.layering`` makes the settings of a cell
(``bacon.settings.distillation``) of its layers. Nothing here imports torch.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from bacon.config.downstream_sections import DownstreamSections
from bacon.downstream.registry import TASKS
from bacon.settings.base import Strict
from bacon.settings.data import DataSettings
from bacon.settings.protocols import short_title
from bacon.settings.run import RunSettings

BEST, ALL = "best", "all"
"""References that are no method's name: the best method of each IPC, and every method."""


MOST_SEEDS = 10_000
"""Seeds that `grid.seeds` may count."""

SOFT_SUFFIX = "_soft"
"""After the name of a method: its row of soft labels."""


class GridSettings(Strict):
    """Which cells exist: data set x method x IPC x seed, each evaluated with every network."""

    datasets: tuple[str, ...] = Field(
        ("digits",), min_length=1, description="Names of registered data sets or of entries under `data`."
    )
    methods: tuple[str, ...] = Field(
        ("random", "dm", "idm", "bacon"),
        min_length=1,
        description="Names of methods; the full data set is always added.",
    )
    relabelled: tuple[str, ...] = Field(
        (),
        description="Methods or variants of the grid whose sets are evaluated a second time, with labels of teachers "
        "(evaluation.labels: teacher) instead of their own: each has a row NAME_soft, `TITLE, soft labels`, the control for "
        "methods with soft labels.",
    )
    ipc: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 10), min_length=1, description="Images per class.")
    seeds: int | tuple[Annotated[int, Field(ge=0)], ...] = Field(
        3, description="Distillation seeds: a number n for 0..n-1, or a list."
    )
    networks: tuple[str, ...] = Field(
        ("convnet",), min_length=1, description="Evaluation networks: entries of `networks`, or known names."
    )
    protocols: tuple[str, ...] = Field(
        (),
        description="Protocols that every cell is evaluated under: known names, `native`, or entries of `protocols`. Headline "
        "tables and figures show `protocol`, which is the first of these unless it is given; the table `protocols` shows "
        "all. Empty: `protocol` alone.",
    )
    downstream: tuple[str, ...] = Field(
        (),
        description="Downstream tasks that the cells are put to (docs/downstream.md), each by a rule of its own: "
        + ", ".join(f"`{name}`" for name in TASKS)
        + ". The section `downstream` holds their settings and which cells they take.",
    )
    exclude: tuple[str, ...] = Field((), description="Patterns of cells to leave out, such as tinyimagenet/*/ipc50/*.")

    @field_validator("seeds")
    @classmethod
    def _some_seeds(cls, value: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if value == () or (isinstance(value, int) and value < 1):
            raise ValueError("at least one distillation seed is needed")
        if isinstance(value, int) and value > MOST_SEEDS:
            raise ValueError(f"at most {MOST_SEEDS} distillation seeds; for one seed of that number write a list of it")
        return value

    def seed_list(self) -> tuple[int, ...]:
        """The distillation seeds, explicit."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds


class Layer(Strict):
    """Partial cell settings; `bacon.config.layering` checks each key against the models above."""

    preprocessing: dict[str, Any] = Field(
        default_factory=dict, description="Keys of how a cell's real images are prepared."
    )
    network: dict[str, Any] = Field(default_factory=dict, description="Keys of the distillation network.")
    distillation: dict[str, Any] = Field(default_factory=dict, description="Keys of distillation.")
    evaluation: dict[str, Any] = Field(default_factory=dict, description="Keys of evaluation.")


class CellLayer(Layer):
    """The (data set, IPC) layer."""

    methods: tuple[str, ...] | None = Field(None, description="Methods that it applies to; null: all.")
    dataset: str = Field(description="Data set that it applies to.")
    ipc: int = Field(ge=1, description="IPC that it applies to.")


class VariantLayer(Layer):
    """A method with other settings, beside the method itself: a column of its own in tables and figures."""

    method: str = Field(description="The method it is a variant of.")
    title: str | None = Field(None, description="Name in tables and figures; null: its key.")


class OwnProtocol(Strict):
    """An evaluation protocol of one's own, for `protocol` and `grid.protocols`."""

    base: str = Field("paper", description="The known protocol that it starts from, or `native`.")
    title: str | None = Field(None, description="Name in tables and figures; null: its key.")
    evaluation: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of evaluation that differ from its base. They win over the preset and over what records of methods "
        "say; the layers of this file win over them.",
    )


class ReportSettings(Strict):
    """What tables and the report show."""

    references: tuple[str, ...] = Field(
        ("random", BEST),
        description="What every method is compared with: names of methods; `best`, the method with the highest mean at each "
        "IPC; or `all`, every pair of methods. Methods that are not in the grid are ignored. Variants are always "
        "compared with their method.",
    )
    gaps: tuple[tuple[str, str], ...] = Field(
        (),
        description="Pairs of methods, such as [ncfm, bacon]: the table of what protocols explain of published gaps shows them "
        "first and says, where it cannot split the gap of one, why. Methods that are not in the grid are ignored.",
    )


class Config(Strict):
    """A configuration file."""

    preset: str = Field(
        "paper", description="Named bundle of settings below the method layer; see bacon/config/presets.py."
    )
    protocol: str = Field(
        "paper",
        description="Named evaluation protocol, a layer below the preset; native: for each method that of its own publication "
        "(for the full data set: paper); or an entry of `protocols`; see docs/evaluation.md. `grid.protocols` names several.",
    )
    grid: GridSettings = Field(default_factory=GridSettings)
    data: dict[str, DataSettings] = Field(
        default_factory=dict, description="Your own data sets, or changes to registered ones."
    )
    networks: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Named evaluation networks: changes to the cell's own network, which is `convnet`, or another "
        "architecture. Known without an entry here: the networks in bacon/settings/architectures.py, such as mlp, "
        "lenet, alexnet, vgg11, resnet18, vit_tiny (docs/evaluation.md).",
    )
    protocols: dict[str, OwnProtocol] = Field(
        default_factory=dict, description="Evaluation protocols of your own, for `protocol` and `grid.protocols`."
    )
    methods: dict[str, Layer] = Field(default_factory=dict, description="The method layer.")
    variants: dict[str, VariantLayer] = Field(
        default_factory=dict,
        description="Methods with other settings under their own name, for `grid.methods`. A variant has its method's "
        "settings, overridden by those given here (above the (data set, IPC) layer). Variants that differ from "
        "their method in one number are shown in the sensitivity figure.",
    )
    datasets: dict[str, Layer] = Field(default_factory=dict, description="The data set layer.")
    cells: tuple[CellLayer, ...] = Field((), description="The (data set, IPC) layer.")
    overrides: dict[str, Layer] = Field(
        default_factory=dict, description="Last layer: patterns of cells (digits/bacon/ipc10/seed*) and their settings."
    )
    stale_on_upgrade: tuple[str, ...] = Field(
        (),
        description="Packages, such as torch, whose version is part of every fingerprint: upgrading them makes results stale. "
        "Versions of all other packages are only recorded in the artifacts.",
    )
    downstream: DownstreamSections = Field(
        default_factory=DownstreamSections, description="Settings of downstream tasks, by their names."
    )
    report: ReportSettings = Field(default_factory=ReportSettings)
    run: RunSettings = Field(default_factory=RunSettings)

    @property
    def evaluated_protocols(self) -> tuple[str, ...]:
        """Every protocol that cells are evaluated under, in the order of tables; `protocol` is one of them."""
        return self.grid.protocols or (self.protocol,)

    def under(self, protocol: str) -> Config:
        """The same configuration with another of its protocols as `protocol`."""
        return self if protocol == self.protocol else self.model_copy(update={"protocol": protocol})

    def protocol_title(self, protocol: str) -> str:
        """Name of a protocol in tables and figures."""
        own = self.protocols.get(protocol)
        return short_title(protocol) if own is None else own.title or protocol

    @property
    def relabelled_rows(self) -> dict[str, str]:
        """Row of soft labels -> the method or variant of ``grid.relabelled`` whose sets it evaluates again."""
        return {f"{name}{SOFT_SUFFIX}": name for name in self.grid.relabelled}

    def base_method(self, method: str) -> str:
        """The registered method that a name stands for: a variant's own, otherwise the name itself."""
        return self.variants[method].method if method in self.variants else method
