"""Settings of an evaluation: how a network is trained on a distilled set and tested."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from bacon.settings.augmentations import DC_OPERATIONS, IDC_OPERATIONS, AugmentationSettings
from bacon.settings.base import Strict
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, Augmentation, check_dsa_strategy, check_strategy
from bacon.settings.evaluation_recipe import augmentation_of, mixing_of, optimiser_of, schedule_of, sharpness_of
from bacon.settings.network import NetworkSettings
from bacon.settings.recipe import MIXING_MODULE, LossTermSettings, TrainingRecipe, modules_of
from bacon.settings.trained_networks import TEACHERS, EnsembleSettings, ensemble_needs
from bacon.settings.training_need import TrainingNeed


def superseded(keys: Iterable[str]) -> tuple[str, ...]:
    """Keys of lower layers that a layer with ``keys`` takes out: who says how many epochs means neither steps nor a rule."""
    given = set(keys)
    return tuple(name for name in ("steps", "epochs_by_images") if "epochs" in given and name not in given)


def merged_evaluation(*layers: Mapping[str, Any]) -> EvaluationSettings:
    """The settings of layers of ``evaluation`` keys, the lowest first."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name in superseded(layer):
            merged.pop(name, None)
        merged |= layer
    return EvaluationSettings.model_validate(merged)


class EvaluationSettings(Strict):
    """How a network is trained on a distilled set and tested (docs/evaluation.md)."""

    seeds: int = Field(
        5,
        ge=1,
        le=1000,
        description="Evaluation seeds: number of networks trained on the final images of a cell, with each augmentation.",
    )
    snapshot_seeds: int = Field(
        1, ge=0, le=1000, description="Evaluation seeds for each earlier snapshot (accuracy curve); 0: none."
    )
    test_curve: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (),
        description="Shares of the training, such as [0.5, 0.75, 0.9], after which the test accuracy, and that on the "
        "validation split, are recorded too, at whole epochs. For information (table `selection`): results are of the end.",
    )
    augmentations: tuple[Augmentation, ...] = Field(
        ("dsa",),
        min_length=1,
        description="Every evaluation seed trains one network with each; accuracies are averaged over them. dsa: "
        "dsa_strategy; idc: idc_strategy; dc: dc_strategy; frepo: FRePo's list; crop_flip; random_resized_crop; "
        "auto: AutoAugment; rand: RandAugment; imagenet: crop, flip, colour; cifar: crop, flip, cutout; none. No "
        "augmentation mirrors data sets whose dsa_strategy has no flip.",
    )
    epochs: int = Field(
        1001, ge=1, description="Epochs; with schedule drop the rate drops after epoch (epochs - 1) // 2 + 1."
    )
    epochs_plain: int | None = Field(
        None, ge=1, description="Epochs with the augmentation none; null: the same as with the others."
    )
    epochs_by_images: tuple[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], ...] = Field(
        (),
        description="Pairs (n, epochs), ascending: the epochs of sets of at most n training images per class (after "
        "decoding); larger sets have `epochs`.",
    )
    steps: int | None = Field(None, ge=1, description="Number of updates, instead of epochs; null: use epochs.")
    batch_size: int = Field(256, ge=1, description="Images per step.")
    regression: Literal["none", "ntk", "nngp"] = Field(
        "none",
        description="Kernel ridge regression from the images with their labels, instead of training a network, with the kernel "
        "of an infinitely wide fully connected one (KIP); every seed gives the same. none: networks are trained.",
    )
    regression_depth: int = Field(1, ge=1, le=100, description="regression: hidden layers.")
    regression_bias_std: float = Field(0.1, ge=0, description="regression: standard deviation of the biases.")
    regression_ridge: float = Field(1e-6, gt=0, description="regression: ridge, times the mean diagonal of the kernel.")
    initialisation: Literal["random", "fixed"] = Field(
        "random",
        description="random: each evaluation seed begins with a network of its own; fixed: with the distillation seed's fixed "
        "network, for which DD distils with `initialisation: fixed`; the full data set with that of seed 0.",
    )
    order: Literal["shuffled", "stored", "one_per_class"] = Field(
        "shuffled",
        description="Order of the training images: shuffled each epoch, as stored, or one image of every class per step.",
    )
    optimiser: Literal["sgd", "adam", "adamw"] = Field("sgd", description="Optimiser.")
    lr_net: float = Field(0.01, gt=0, description="Initial learning rate; not used where lr_search chooses it.")
    lr: Literal["fixed", "learned", "ntk"] = Field(
        "fixed",
        description="fixed: lr_net, or what lr_search chooses; learned: the learning rate, or one for each step, that a method "
        "learned with the images; lr_net for sets without one (real images); ntk: lr_net (or the one of lr_search) times the "
        "largest rate at which SGD on squared errors is stable, by the tangent kernel of the untrained network.",
    )
    lr_search: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (),
        description="Learning rates of which the one with the best accuracy on the validation split (data.NAME.validation) "
        "is used, chosen for each cell, network and augmentation with evaluation seed 0; empty: lr_net.",
    )
    schedule: Literal["drop", "constant", "multistep", "cosine", "half_cosine", "warmup_cosine"] = Field(
        "drop",
        description="Learning rate: drop (once, halfway, and momentum is reset), multistep (at lr_milestones), cosine (to 0), "
        "half_cosine (to half), warmup_cosine (up from 0 for lr_warmup, then a cosine to lr_factor of it), or constant.",
    )
    lr_factor: float = Field(
        0.1, gt=0, description="drop, multistep: factor of the learning rate; warmup_cosine: at the end."
    )
    lr_warmup: int = Field(
        500,
        ge=0,
        description="warmup_cosine: steps (epochs, where these are counted) of the rise; at most half of all.",
    )
    lr_milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (2 / 3, 5 / 6), min_length=1, description="multistep: fractions of the training after which the rate drops."
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum.")
    nesterov: bool = Field(False, description="Nesterov's momentum.")
    weight_decay: float = Field(5e-4, ge=0, description="Weight decay.")
    labels: Literal["hard", "stored", "teacher"] = Field(
        "hard",
        description="hard: the class; stored: the set's soft labels if it has any, else the class; teacher: networks trained "
        "on the real set (`teachers`) label each batch.",
    )
    loss: tuple[LossTermSettings, ...] = Field(
        (),
        description="Terms of the loss, which are summed; each has kind (ce, soft_ce, kl, mse), weight, and for kl "
        "temperature and scaled (times T^2); empty: cross-entropy with the labels, hard or soft.",
    )
    teachers: EnsembleSettings = Field(
        EnsembleSettings(),
        description="labels teacher: the networks trained on the real set whose logits label each batch; their augmentation is "
        "that of `dsa_strategy` here.",
    )
    teacher_norms: Literal["own", "equal"] = Field(
        "own",
        description="labels teacher, several of them: their logits are averaged as they are, or (equal) each teacher's "
        "logits of a batch are scaled to the mean norm of all teachers' first.",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Label smoothing of ce: weight of the uniform distribution in the labels."
    )
    dsa_strategy: str = Field(PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none.")
    idc_strategy: str = Field(
        "flip_color_crop_scale_rotate_cutout", description="Operations of the augmentation idc joined by _."
    )
    dc_strategy: str = Field("crop_scale_rotate", description="Operations of the augmentation dc joined by _.")
    crop_pad: int = Field(4, ge=0, description="crop_flip: pixels added on each side.")
    crop_fill: Literal["zero", "reflect"] = Field(
        "zero", description="crop_flip: what the added pixels hold: zero (black), or the image reflected."
    )
    resized_crop_scale: tuple[float, float] = Field((0.08, 1.0), description="random_resized_crop: shares of the area.")
    shuffle_patches: int = Field(1, ge=1, le=8, description="random_resized_crop: tiles per side shuffled before it.")
    mixing: Literal["none", "mixup", "cutmix"] = Field("none", description="Mixes pairs of images of a batch.")
    mixing_alpha: float = Field(
        1.0, gt=0, le=4, description="Parameter alpha of the Beta distribution of the mixing ratio."
    )
    mixing_probability: float = Field(1.0, gt=0, le=1, description="Fraction of the batches that are mixed.")
    clip_norm: float | None = Field(None, gt=0, description="Gradients are clipped to this norm; null: no clipping.")
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay of the exponential moving average of the weights, which is the network that is tested; null: no "
        "average.",
    )
    sam_rho: float | None = Field(None, gt=0, description="Radius of sharpness-aware steps (SAM); null: plain steps.")
    sam_adaptive: bool = Field(False, description="SAM: scale the perturbation by the weights (ASAM).")
    sam_gap: float = Field(0.0, ge=0, description="SAM: GSAM's alpha; 0: none.")

    _check_dsa = field_validator("dsa_strategy")(check_dsa_strategy)

    @field_validator("idc_strategy", "dc_strategy")
    @classmethod
    def _operations_are_known(cls, value: str, info: ValidationInfo) -> str:
        """As it is written: the recipe of the augmentation puts the operations in order."""
        operations, family = (IDC_OPERATIONS, "IDC") if info.field_name == "idc_strategy" else (DC_OPERATIONS, "DC")
        check_strategy(value, operations, family)
        return value

    @model_validator(mode="after")
    def _values_fit_each_other(self) -> EvaluationSettings:
        for name in ("augmentations", "lr_search", "test_curve"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"`{name}` lists {', '.join(map(str, values))}: list each value once")
        if {"dsa", "none"} <= set(self.augmentations) and self.dsa_strategy == "none":
            raise ValueError("`augmentations` lists dsa and none, but `dsa_strategy` is none: they would be the same")
        if self.lr_search and self.lr == "learned":
            raise ValueError("`lr` is learned, so `lr_search` has nothing to choose; leave out one of them")
        if self.schedule == "warmup_cosine" and self.lr_factor > 1:
            raise ValueError(
                f"`lr_factor` is {self.lr_factor:g}: with the schedule warmup_cosine it is the share of the rate at the end, "
                "at most 1"
            )
        self._regression_trains_nothing()
        self._seeds_differ()
        self._stable_rate_is_of_squared_errors()
        bounds = [images for images, _ in self.epochs_by_images]
        if bounds != sorted(set(bounds)):
            raise ValueError(f"`epochs_by_images` has the bounds {bounds}; they must ascend")
        # What the recipe of each augmentation refuses is refused here, while the configuration is read.
        for name in self.augmentations:
            try:
                self._recipe(name, epochs=self.epochs, rate=0.01, rates=())
            except ValidationError as error:
                first = error.errors()[0]
                raise ValueError(first["msg"].removeprefix("Value error, ")) from None
        return self

    def curve_epochs(self, epochs: int) -> tuple[int, ...]:
        """Epochs, counted from 1 and ascending, after which networks trained for ``epochs`` are tested before the end."""
        points = {math.ceil(share * epochs) for share in self.test_curve}
        return tuple(sorted(point for point in points if point < epochs))

    def _seeds_differ(self) -> None:
        draws = self.order == "shuffled" or self.augmentations != ("none",) or self.mixing != "none"
        if self.initialisation == "fixed" and self.seeds > 1 and not draws:
            raise ValueError(
                f"`initialisation` is fixed and nothing of the training is drawn, so that all {self.seeds} `seeds` would train "
                "the same network: set `seeds` to 1"
            )

    def _stable_rate_is_of_squared_errors(self) -> None:
        squared = {(term.kind, term.over_classes) for term in self.loss} == {("mse", "mean")}
        if self.lr == "ntk" and not (squared and self.optimiser == "sgd"):
            raise ValueError(
                "`lr` is ntk, a rate of SGD on squared errors: set `optimiser` to sgd and `loss` to mse with over_classes mean"
            )

    def _regression_trains_nothing(self) -> None:
        if self.regression == "none":
            return
        if self.augmentations != ("none",) or self.lr_search or self.labels == "teacher":
            raise ValueError(
                f"`regression` is {self.regression}, which trains no network: set `augmentations` to [none], `labels` to hard "
                "or stored, and leave out `lr_search`"
            )

    def rate_of(self, rates: Sequence[float]) -> float:
        """The learning rate that training on a set with the learned ``rates`` begins with."""
        return rates[0] if self.lr == "learned" and rates else self.lr_net

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

    def passes(self, *, images: int, classes: int) -> int:
        """Epochs of one network on ``images`` training images (decoded) of ``classes`` classes."""
        if self.steps is not None:
            return -(-self.steps // -(-images // self.batch_size))
        per_class = images / classes
        return next((epochs for bound, epochs in self.epochs_by_images if per_class <= bound), self.epochs)

    def recipe(self, *, images: int, classes: int, rates: Sequence[float] = ()) -> TrainingRecipe:
        """How one network is trained; these settings name a single augmentation (:meth:`with_augmentation`).

        Args:
            images: training images, decoded.
            classes: classes.
            rates: learned learning rates of the set: one, one for each step, or none; used where ``lr`` is learned.
        """
        (name,) = self.augmentations
        epochs = self.passes(images=images, classes=classes)
        batch = {"batch_size": classes} if self.order == "one_per_class" else {}
        # One rate for each step stands for a training of that many steps.
        each = tuple(rates) if self.lr == "learned" and len(rates) > 1 else ()
        return self._recipe(name, epochs=epochs, rate=self.rate_of(rates), rates=each, **batch)

    def _recipe(
        self, augmentation: str, *, epochs: int, rate: float, rates: tuple[float, ...], batch_size: int | None = None
    ) -> TrainingRecipe:
        steps = len(rates) or self.steps
        return TrainingRecipe(
            epochs=None if steps else epochs,
            steps=steps,
            batch_size=batch_size or self.batch_size,
            order=self.order,
            optimiser=optimiser_of(self, rate),
            schedule=schedule_of("constant" if rates else self.schedule, self),
            rates=rates,
            loss=self.loss or (LossTermSettings(kind="ce" if self.labels == "hard" else "soft_ce"),),
            labels=self.labels,
            label_smoothing=self.label_smoothing,
            augmentation=self.augmentation(augmentation),
            mixing=mixing_of(self),
            clip_norm=self.clip_norm,
            ema=self.ema,
            sharpness=sharpness_of(self),
        )

    def augmentation_modules(self) -> dict[str, tuple[str, ...]]:
        """Augmentation -> dotted modules that training loads by name for it: part of the fingerprint of what it makes."""
        recipes = {name: self._recipe(name, epochs=1, rate=1.0, rates=()) for name in self.augmentations}
        shared = self.shared_modules()
        names = {self.recorded_augmentation(name): recipe for name, recipe in recipes.items()}
        return {name: tuple(each for each in modules_of(own) if each not in shared) for name, own in names.items()}

    def recorded_augmentation(self, name: str) -> str:
        """What a record calls an augmentation: DSA without operations is none."""
        return "none" if name == "dsa" and self.dsa_strategy == "none" else name

    def needs(self, network: NetworkSettings) -> tuple[TrainingNeed, ...]:
        """Teachers of the batches, where ``labels`` come from them; ``network`` is the cell's."""
        if self.labels != "teacher":
            return ()
        return ensemble_needs(TEACHERS, self.teachers, network, dsa_strategy=self.dsa_strategy)

    def shared_modules(self) -> tuple[str, ...]:
        """Dotted modules that training loads by name whatever the augmentation."""
        return (MIXING_MODULE,) if self.mixing != "none" else ()

    def augmentation(self, name: str) -> AugmentationSettings:
        """The augmentation of a name of ``augmentations``, with its settings."""
        return augmentation_of(name, self)
