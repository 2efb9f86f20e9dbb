"""Architecture search: settings, the candidates, and the networks that they are judged by. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Literal

from pydantic import Field, field_validator

from bacon.settings.base import Strict
from bacon.settings.network import NetworkSettings

Norm = Literal["instance", "batch", "layer", "group", "none"]
Activation = Literal["relu", "leaky_relu", "sigmoid", "tanh", "swish"]
Pooling = Literal["avg", "max", "none"]

DC_SPACE = {
    "widths": (32, 64, 128, 256),
    "depths": (1, 2, 3, 4),
    "norms": ("none", "batch", "layer", "instance", "group"),
    "activations": ("sigmoid", "relu", "leaky_relu"),
    "poolings": ("none", "max", "avg"),
}
"""The 720 ConvNets of DC (Zhao, Mopuri and Bilen, ICLR 2021)."""


class ArchitectureSearchSettings(Strict):
    """A search among ConvNets, whose candidates are trained on the distilled set instead of the whole one."""

    widths: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (32, 64, 128), min_length=1, description="Channels of every convolution. DC: [32, 64, 128, 256]."
    )
    depths: tuple[Annotated[int, Field(ge=1, le=6)], ...] = Field(
        (1, 2, 3), min_length=1, description="Blocks. DC: [1, 2, 3, 4]; each block halves the image."
    )
    norms: tuple[Norm, ...] = Field(
        ("none", "instance"), min_length=1, description="Normalisations. DC: [none, batch, layer, instance, group]."
    )
    activations: tuple[Activation, ...] = Field(
        ("relu",), min_length=1, description="Activations. DC: [sigmoid, relu, leaky_relu]."
    )
    poolings: tuple[Pooling, ...] = Field(("avg",), min_length=1, description="Poolings. DC: [none, max, avg].")
    searches: int = Field(
        1,
        ge=1,
        le=100,
        description="Searches with each distilled set; each trains every candidate once, with another seed.",
    )
    reference_networks: int = Field(
        1,
        ge=1,
        le=100,
        description="Networks of each candidate trained on the whole set, by which searches are judged.",
    )
    reference_epochs: int | None = Field(
        None, ge=1, description="Epochs of these; null: as many as the cell's protocol trains the full data set."
    )
    top: int = Field(
        10,
        ge=2,
        description="Candidates that the proxy ranks first, over which rank correlation is reported too (DC: 10).",
    )

    @field_validator("widths", "depths", "norms", "activations", "poolings")
    @classmethod
    def _each_once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(values)) != len(values):
            raise ValueError(f"{', '.join(map(str, values))}: list each value once")
        return values

    def candidates(self, precision: str = "tf32") -> dict[str, NetworkSettings]:
        """Name, such as ``w64-d3-instance-relu-avg`` -> network, in the order of the lists, the first varying slowest."""
        return dict(self._each(precision))

    def _each(self, precision: str) -> Iterator[tuple[str, NetworkSettings]]:
        axes = product(self.widths, self.depths, self.norms, self.activations, self.poolings)
        for width, depth, norm, activation, pooling in axes:
            network = NetworkSettings(
                width=width,
                depth=depth,
                norm=norm,
                activation=activation,
                pooling=pooling,
                precision=precision,  # type: ignore[arg-type]
            )
            yield f"w{width}-d{depth}-{norm}-{activation}-{pooling}", network
