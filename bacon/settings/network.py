"""Settings of a network."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from bacon.settings.architectures import ARCHITECTURES, COMMON_KEYS, known_architecture
from bacon.settings.base import Strict


def _norms_in_words() -> str:
    """Which architecture has which norms, the default first."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for architecture in ARCHITECTURES.values():
        alike.setdefault(architecture.norms, []).append(architecture.name)
    return "; ".join(f"{', '.join(names)}: {' or '.join(norms)}" for norms, names in alike.items())


class NetworkSettings(Strict):
    """One network architecture (docs/algorithms.md, Network); width, depth: ConvNets; activation, pooling: ConvNet only."""

    architecture: Annotated[str, AfterValidator(known_architecture)] = Field(
        "convnet",
        description=f"Family of the network: one of {', '.join(ARCHITECTURES)}.",
        json_schema_extra={"enum": list(ARCHITECTURES)},
    )
    width: int = Field(
        128,
        ge=1,
        le=4096,
        description="ConvNet: number of channels of every convolution; frepo_convnet: of the first, doubled by each next one.",
    )
    depth: int = Field(
        3, ge=1, le=6, description="ConvNet, frepo_convnet: number of convolution blocks; each halves the image."
    )
    norm: Literal["instance", "batch", "layer", "group", "none"] = Field(
        "instance", description=f"Normalisation; the first is the default: {_norms_in_words()}."
    )
    activation: Literal["relu", "leaky_relu", "sigmoid", "tanh", "swish"] = Field(
        "relu", description="ConvNet: activation of each block."
    )
    pooling: Literal["avg", "max", "none"] = Field("avg", description="ConvNet: pooling of each block.")
    stem: Literal["3x3", "7x7"] = Field(
        "3x3",
        description="ResNet: first convolution. 3x3: for small images, at full size and without pooling; 7x7: ImageNet's, "
        "with stride 2 and max pooling, which divides the side by four.",
    )
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "tf32",
        description="Arithmetic of the convolutions. tf32: on a GPU, factors rounded to 10 bits: PyTorch's default, so "
        "published programs run in it; on a CPU fp32. fp32: full float32. bf16: maps and weights rounded to 7 bits. The "
        "classifier, norms, losses, statistics, images, optimisers stay float32. It changes results (docs/speed.md), so it is "
        "part of every fingerprint.",
    )

    @classmethod
    def keys_of(cls, architecture: str) -> tuple[str, ...]:
        """The keys that an architecture has; of an unknown one, those that all have."""
        return ARCHITECTURES[architecture].all_keys if architecture in ARCHITECTURES else COMMON_KEYS

    @model_validator(mode="before")
    @classmethod
    def _norm_of_the_architecture(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("architecture") in ARCHITECTURES:
            return {"norm": ARCHITECTURES[values["architecture"]].norms[0], **values}
        return values

    @model_validator(mode="after")
    def _keys_fit_the_architecture(self) -> NetworkSettings:
        own = self.keys_of(self.architecture)
        if others := sorted(self.model_fields_set - set(own)):
            raise ValueError(f"{self.architecture} has no `{others[0]}`; its keys are {', '.join(own)}")
        norms = ARCHITECTURES[self.architecture].norms
        if self.norm not in norms:
            raise ValueError(f"`norm` of {self.architecture} is {' or '.join(norms)}, not {self.norm}")
        return self

    @model_serializer(mode="wrap")
    def _own_keys(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = serialise(self)
        return {name: plain[name] for name in self.keys_of(self.architecture) if name in plain}
