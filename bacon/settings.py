"""Typed settings of a cell: the single source of truth for every key, its default, its range and its meaning.

``CellSettings`` (and its parts) is what one cell is computed from, after layering. What a user writes, the grid and layers of
partial cell settings, is ``bacon.config_model``; ``bacon.layering`` turns it into these. Nothing here imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import (
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from bacon.methods.base import Objective, Strict
from bacon.methods.registry import OBJECTIVES

DSA_OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
PAPER_DSA_STRATEGY = "_".join(DSA_OPERATIONS)

if TYPE_CHECKING:
    ObjectiveSettings = Objective
else:  # a union made from the registry, so that a new objective is one line there
    ObjectiveSettings = Annotated[Union[OBJECTIVES], Discriminator("kind")]  # noqa: UP007


Augmentation = Literal["dsa", "none", "auto", "rand", "imagenet", "cifar"]


def check_dsa_strategy(value: str) -> str:
    """The strategy in canonical order, or ``none``; raises ``ValueError`` naming an unknown operation."""
    if value in ("none", ""):
        return "none"
    chosen = value.split("_")
    for operation in chosen:
        if operation not in DSA_OPERATIONS:
            raise ValueError(
                f"unknown DSA operation {operation!r}; allowed are {', '.join(DSA_OPERATIONS)} joined by _"
            )
    return "_".join(operation for operation in DSA_OPERATIONS if operation in chosen)


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


class FreshNetworks(Strict):
    """DM: a fresh random network every iteration."""

    source: Literal["fresh"] = "fresh"


class NetworkQueue(Strict):
    """IDM and BACON: a queue of networks that are trained a little while they are used (docs/algorithms.md)."""

    source: Literal["queue"] = "queue"
    start: int = Field(3, ge=1, le=1000, description="Networks in the queue at the start.")
    capacity: int = Field(100, ge=1, le=1000, description="At most this many networks; the oldest is dropped.")
    net_generate_interval: int = Field(30, ge=1, description="A fresh network is pushed every so many iterations.")
    networks_trained: int = Field(
        2, ge=1, description="Networks drawn, without replacement, for training per iteration."
    )
    model_train_steps: int = Field(10, ge=0, description="SGD steps of each drawn network per iteration.")
    batch_train: int = Field(256, ge=1, description="Real images per SGD step, drawn from all classes.")
    lr_net: float = Field(0.01, gt=0, description="Learning rate of the queue's networks.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of the queue's networks.")
    weight_decay: float = Field(5e-4, ge=0, description="Weight decay of the queue's networks.")
    meter_interval: int = Field(
        100,
        ge=1,
        description="The running training accuracies are reset every so many iterations (published code: eval_interval).",
    )
    ce_weight: float = Field(
        0.5,
        ge=0,
        description="Weight of cross-entropy; multiplied by the network's running training accuracy in percent.",
    )


NetworkSource = Annotated[FreshNetworks | NetworkQueue, Discriminator("source")]


class SelectionSettings(Strict):
    """Settings of methods that choose real images."""

    partition: int = Field(
        1,
        ge=1,
        le=8,
        description="Store partition^2 down-scaled real images in each image (1: off; the published baseline).",
    )


class MatchingSettings(Strict):
    """Settings of the distillation engine (docs/algorithms.md)."""

    iterations: int = Field(20000, ge=0, description="Distillation iterations.")
    snapshot_interval: int = Field(
        2000, ge=0, description="Keep the images every so many iterations, and at 0 and the end (0: the end alone)."
    )
    objective: ObjectiveSettings = Field(description="The matching loss.")
    networks: NetworkSource = Field(description="Where the embedding networks come from.")
    partition: int = Field(
        1,
        ge=1,
        le=8,
        description="A stored image holds partition^2 down-scaled images (docs/algorithms.md, Partition).",
    )
    init: Literal["real", "noise"] = Field("real", description="Initial synthetic images: real images or N(0, 1).")
    batch_real: int = Field(256, ge=2, description="Real images per class and iteration (at most all of them).")
    update: Literal["joint", "per_class"] = Field(
        "per_class",
        description="One momentum step per iteration (DM), or the published per-class loop as one exact step (IDM, BACON).",
    )
    lr_img: float = Field(0.2, gt=0, description="Learning rate of the synthetic images.")
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of the synthetic images.")
    dsa_strategy: str = Field(PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none.")

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)

    def snapshot_iterations(self) -> tuple[int, ...]:
        """Iterations whose images are kept, ascending, the last one always included."""
        if self.snapshot_interval == 0:
            return (self.iterations,)
        return tuple(sorted({*range(0, self.iterations + 1, self.snapshot_interval), self.iterations}))


class EvaluationSettings(Strict):
    """How a network is trained on a distilled set and tested (docs/algorithms.md, Evaluation)."""

    seeds: int = Field(
        5,
        ge=1,
        le=1000,
        description="Evaluation seeds: networks trained on the final images of a cell, with each augmentation.",
    )
    snapshot_seeds: int = Field(
        1, ge=0, le=1000, description="Evaluation seeds for each earlier snapshot (accuracy curve); 0: none."
    )
    augmentations: tuple[Augmentation, ...] = Field(
        ("dsa",),
        min_length=1,
        description="Every evaluation seed trains one network with each; accuracies are averaged over them. dsa: dsa_strategy; "
        "auto: AutoAugment; rand: RandAugment; imagenet: crop, flip, colour; cifar: crop, flip, cutout; none.",
    )
    epochs: int = Field(
        1001, ge=1, description="Epochs; the learning rate drops tenfold after epoch (epochs - 1) // 2 + 1."
    )
    epochs_plain: int | None = Field(
        None, ge=1, description="Epochs with the augmentation none; null: as many as with the others."
    )
    batch_size: int = Field(256, ge=1, description="Images per SGD step.")
    lr_net: float = Field(0.01, gt=0, description="Initial learning rate; not used where lr_search chooses it.")
    lr_search: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (),
        description="Learning rates of which the one with the best accuracy on the validation split (data.NAME.validation) "
        "is used, chosen for each cell, network and augmentation with evaluation seed 0; empty: lr_net.",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum.")
    weight_decay: float = Field(5e-4, ge=0, description="SGD weight decay.")
    dsa_strategy: str = Field(PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none.")

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)

    @model_validator(mode="after")
    def _augmentations_differ(self) -> EvaluationSettings:
        for name in ("augmentations", "lr_search"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"`{name}` lists {', '.join(map(str, values))}: each may stand there once")
        if {"dsa", "none"} <= set(self.augmentations) and self.dsa_strategy == "none":
            raise ValueError("`augmentations` lists dsa and none, but `dsa_strategy` is none: they would be the same")
        return self

    def with_augmentation(self, augmentation: str, lr_net: float) -> EvaluationSettings:
        """The protocol of one network: one augmentation with its epochs, one learning rate."""
        plain = augmentation == "none" and self.epochs_plain is not None
        return self.model_copy(
            update={
                "augmentations": (augmentation,),
                "epochs": self.epochs_plain if plain else self.epochs,
                "lr_net": lr_net,
                "lr_search": (),
            }
        )

    def lr_drop_epoch(self) -> int:
        """Zero-based epoch after which the learning rate drops (501 for the paper's 1001 epochs)."""
        return (self.epochs - 1) // 2 + 1


class CellSettings(Strict):
    """Everything a cell's numbers depend on besides its data: the result of layering."""

    network: NetworkSettings = Field(default_factory=NetworkSettings)
    distillation: SelectionSettings | MatchingSettings | None
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
