"""Settings of a network."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from bacon.settings.base import Strict

NORMS = {
    "convnet": ("instance", "batch", "layer", "group", "none"),
    "mlp": ("none",),
    "lenet": ("none",),
    "alexnet": ("none", "batch"),
    "vgg11": ("instance", "batch"),
    "resnet18": ("instance", "batch"),
}
"""Architecture -> its norms, the default first."""


class NetworkSettings(Strict):
    """One network architecture (docs/algorithms.md, Network); width, depth, activation and pooling are ConvNet's alone."""

    architecture: Literal["convnet", "mlp", "lenet", "alexnet", "vgg11", "resnet18"] = Field(
        "convnet", description="Family of the network."
    )
    width: int = Field(128, ge=1, le=4096, description="ConvNet: channels of every convolution.")
    depth: int = Field(3, ge=1, le=6, description="ConvNet: number of convolution blocks; each halves the image.")
    norm: Literal["instance", "batch", "layer", "group", "none"] = Field(
        "instance",
        description="Normalisation after each convolution. vgg11 and resnet18: instance or batch; alexnet: none (its default) "
        "or batch; mlp and lenet: none.",
    )
    activation: Literal["relu", "leaky_relu", "sigmoid", "tanh", "swish"] = Field(
        "relu", description="ConvNet: activation of each block."
    )
    pooling: Literal["avg", "max", "none"] = Field("avg", description="ConvNet: pooling of each block.")
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "fp32",
        description="Arithmetic of the convolutions: full float32; tf32: factors rounded to 10 bits on a GPU, "
        "fp32 on a CPU; bf16: factors rounded to 7 bits. Norms, losses, statistics, images, optimisers stay float32. Results "
        "change with it (docs/speed.md), so it is part of every fingerprint.",
    )

    @classmethod
    def keys_of(cls, architecture: str) -> tuple[str, ...]:
        """The keys that an architecture has."""
        return tuple(cls.model_fields) if architecture == "convnet" else ("architecture", "norm", "precision")

    @model_validator(mode="before")
    @classmethod
    def _norm_of_the_architecture(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("architecture") in NORMS:
            return {"norm": NORMS[values["architecture"]][0], **values}
        return values

    @model_validator(mode="after")
    def _keys_fit_the_architecture(self) -> NetworkSettings:
        own = self.keys_of(self.architecture)
        if foreign := sorted(self.model_fields_set - set(own)):
            raise ValueError(f"{self.architecture} has no `{foreign[0]}`; its keys are {', '.join(own)}")
        if self.norm not in NORMS[self.architecture]:
            raise ValueError(
                f"`norm` of {self.architecture} is {' or '.join(NORMS[self.architecture])}, not {self.norm}"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_foreign_keys(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = serialise(self)
        return {name: plain[name] for name in self.keys_of(self.architecture) if name in plain}
