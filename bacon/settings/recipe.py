"""The training recipe: everything that says how a network is trained, but its architecture, its images and its seed. No torch.

One recipe serves evaluation, whole-set training, teachers and experts; ``bacon.training.loop`` carries it out. Rates and
milestones are counted in epochs where the recipe counts epochs, and in steps where it counts steps.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Discriminator, Field, field_validator, model_validator

from bacon.settings.augmentations import AUGMENTATION_MODULES, AugmentationSettings, NoAugmentation
from bacon.settings.base import Strict


class SgdSettings(Strict):
    """Stochastic gradient descent (torch.optim.SGD); weight decay is added to the gradient."""

    kind: Literal["sgd"] = "sgd"
    lr: float = Field(0.01, ge=0, description="Initial learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum.")
    nesterov: bool = Field(False, description="Nesterov's momentum.")
    weight_decay: float = Field(
        5e-4, ge=0, description="Weight decay: this factor times the weights is added to their gradients."
    )

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> SgdSettings:
        if self.nesterov and not self.momentum:
            raise ValueError("`nesterov` needs a `momentum` above 0")
        return self


class AdamSettings(Strict):
    """Adam (weight decay added to the gradient) or AdamW (weights shrink by lr * weight_decay), as in torch.optim."""

    kind: Literal["adam", "adamw"]
    lr: float = Field(1e-3, ge=0, description="Initial learning rate.")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), description="Decay of the means of gradients and of squared gradients."
    )
    epsilon: float = Field(1e-8, gt=0, description="Added to the root of the mean squared gradient.")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay.")


OptimiserSettings = Annotated[SgdSettings | AdamSettings, Discriminator("kind")]


class Constant(Strict):
    """The same learning rate throughout."""

    kind: Literal["constant"] = "constant"


class Drop(Strict):
    """The learning rate drops once, after (0-based) epoch (E - 1) // 2 + 1, and momentum is forgotten: the VICO family's way.

    The published code builds a new optimiser with the smaller rate.
    """

    kind: Literal["drop"] = "drop"
    factor: float = Field(0.1, gt=0, description="Factor of the learning rate.")


class MultiStep(Strict):
    """The learning rate is multiplied by ``factor`` at each milestone; momentum is kept."""

    kind: Literal["multistep"] = "multistep"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (2 / 3, 5 / 6), min_length=1, description="Fractions of the training, ascending; rounded down to whole epochs."
    )
    factor: float = Field(0.2, gt=0, description="Factor of the learning rate at each milestone.")

    @field_validator("milestones")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(later <= earlier for earlier, later in pairwise(value)):
            raise ValueError(f"milestones {value} are not ascending")
        return value


class Cosine(Strict):
    """(1 + cos(pi e / E)) / 2 of the learning rate: down to 0 at the end of the training."""

    kind: Literal["cosine"] = "cosine"


class HalfCosine(Strict):
    """(1 + cos(pi e / (2 E))) / 2 of the learning rate: it ends at half its start (RDED)."""

    kind: Literal["half_cosine"] = "half_cosine"


class WarmupCosine(Strict):
    """From 0 up to the learning rate in a straight line, then along half a cosine down to a share of it (FRePo)."""

    kind: Literal["warmup_cosine"] = "warmup_cosine"
    warmup: int = Field(
        500, ge=0, description="Steps (epochs, where the recipe counts them) of the rise; at most half of the training."
    )
    last: float = Field(0.01, ge=0, le=1, description="Share of the learning rate that it falls to.")


ScheduleSettings = Annotated[Constant | Drop | MultiStep | Cosine | HalfCosine | WarmupCosine, Discriminator("kind")]


class LossTermSettings(Strict):
    """One term of the loss, a mean over the batch.

    - ``ce``: cross-entropy with the class of each image (with the mixed classes where batches are mixed).
    - ``soft_ce``: cross-entropy with the soft label as probabilities.
    - ``kl``: KL(p || q) of p = softmax(label logits / T) and q = softmax(logits / T); times T^2 where ``scaled`` says so.
    - ``mse``: squared difference of logits and soft label as it is (logits, learned values).

    Where an image has no soft label, the one-hot class takes its place; for ``mse`` minus 1/classes, so that it is centred.
    """

    kind: Literal["ce", "soft_ce", "kl", "mse"] = "ce"
    weight: float = Field(1.0, gt=0, description="Weight of the term.")
    temperature: float = Field(1.0, gt=0, description="kl: T.")
    scaled: bool = Field(
        False, description="kl: times T^2, so that gradients do not shrink with T (Hinton et al.); published code: no."
    )
    over_classes: Literal["mean", "sum"] = Field("mean", description="mse: mean or sum over the classes.")

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> LossTermSettings:
        own = {"kl": {"temperature", "scaled"}, "mse": {"over_classes"}}.get(self.kind, set())
        for name in ("temperature", "scaled", "over_classes"):
            if name not in own and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"the loss {self.kind} has no `{name}`")
        return self


class Mixup(Strict):
    """Mixup: convex combinations of the images of a batch (Zhang et al., 2018); one ratio ~ Beta(alpha, alpha) per batch."""

    kind: Literal["mixup"] = "mixup"
    alpha: float = Field(0.8, gt=0, le=4, description="Parameter of the Beta distribution.")
    probability: float = Field(1.0, gt=0, le=1, description="Fraction of the batches that are mixed.")


class CutMix(Strict):
    """CutMix: a box of each image is replaced by another image's (Yun et al., 2019), one box per batch.

    Its area follows from a ratio ~ Beta(beta, beta).
    """

    kind: Literal["cutmix"] = "cutmix"
    beta: float = Field(1.0, gt=0, le=4, description="Parameter of the Beta distribution.")
    probability: float = Field(0.5, gt=0, le=1, description="Fraction of the batches that are mixed.")


MixingSettings = Annotated[Mixup | CutMix, Discriminator("kind")]


class Sharpness(Strict):
    """Sharpness-aware steps: the gradient is taken at the weights plus ``rho`` along the gradient (SAM, Foret et al., 2021).

    ``adaptive`` scales the perturbation by the weights (ASAM, Kwon et al., 2021); ``gap`` subtracts that part of the first
    gradient that is orthogonal to the second (GSAM, Zhuang et al., 2022). Both forwards of a step use one batch.
    """

    rho: float = Field(0.05, gt=0, description="Radius of the perturbation.")
    adaptive: bool = Field(False, description="Scale the perturbation by the weights.")
    gap: float = Field(0.0, ge=0, description="GSAM's alpha; 0: none.")


class TrainingRecipe(Strict):
    """How a network is trained."""

    epochs: int | None = Field(None, ge=1, description="Passes over the training images; or `steps`.")
    steps: int | None = Field(None, ge=1, description="Number of updates, the last pass being cut short; or `epochs`.")
    batch_size: int = Field(256, ge=1, description="Images per step.")
    order: Literal["shuffled", "stored", "one_per_class"] = Field(
        "shuffled",
        description="shuffled: again in each epoch; stored: in their order; one_per_class: first the first image of every "
        "class, then the second of every class, and so on.",
    )
    optimiser: OptimiserSettings = Field(default_factory=SgdSettings, description="The optimiser.")
    schedule: ScheduleSettings = Field(default_factory=Constant, description="The learning rate over the training.")
    rates: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (),
        description="The learning rate of each step, from the first, repeated; instead of optimiser.lr and schedule.",
    )
    loss: tuple[LossTermSettings, ...] = Field(
        (LossTermSettings(kind="ce"),), min_length=1, description="Terms, which are summed."
    )
    labels: Literal["hard", "stored", "teacher"] = Field(
        "hard",
        description="hard: the class; stored: the soft labels of the images if they have any, else the class; teacher: the "
        "output of one or several trained networks for each augmented and mixed batch.",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Label smoothing of ce: weight of the uniform distribution in the labels."
    )
    augmentation: AugmentationSettings = Field(default_factory=NoAugmentation, description="Of each batch.")
    mixing: MixingSettings | None = Field(None, description="Mixup or CutMix, after the augmentation; null: none.")
    clip_norm: float | None = Field(
        None, gt=0, description="Gradients of all weights are clipped to this norm; null: no clipping."
    )
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay of the exponential moving average of the weights, which is the result; null: no average.",
    )
    sharpness: Sharpness | None = Field(None, description="Sharpness-aware steps; null: plain steps.")

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> TrainingRecipe:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("a recipe has either `epochs` or `steps`")
        if self.rates and self.schedule.kind != "constant":
            raise ValueError(f"`rates` gives every step its learning rate: leave out the schedule {self.schedule.kind}")
        if len(self.rates) > 1 and self.steps is None:
            raise ValueError("`rates` gives every step its learning rate: count `steps`, not `epochs`")
        soft = sorted({term.kind for term in self.loss} - {"ce"})
        if self.labels == "hard" and soft and soft != ["mse"]:
            raise ValueError(
                f"`labels` are hard, but the loss {soft[0]} wants soft ones: set labels to stored or teacher"
            )
        if self.labels != "hard" and not soft:
            raise ValueError(f"`labels` are {self.labels}, but the loss ce uses only classes: add soft_ce, kl or mse")
        if self.label_smoothing and all(term.kind != "ce" for term in self.loss):
            raise ValueError("`label_smoothing` is for the loss ce, which is not one of the terms")
        return self

    def steps_per_epoch(self, images: int) -> int:
        """Steps of one pass over ``images`` images; the last batch may be smaller."""
        return -(-images // self.batch_size)

    def total_steps(self, images: int) -> int:
        """Steps of the whole training on ``images`` images."""
        return self.steps if self.steps is not None else (self.epochs or 0) * self.steps_per_epoch(images)

    def images_seen(self, images: int) -> int:
        """Images of all batches of the whole training on ``images`` images: steps times batch, where batches are full."""
        steps, each = self.total_steps(images), self.steps_per_epoch(images)
        return steps // each * images + min(steps % each * self.batch_size, images)

    def total_epochs(self, images: int) -> int:
        """Passes over ``images`` images, a last incomplete one included."""
        return self.epochs if self.epochs is not None else -(-(self.steps or 0) // self.steps_per_epoch(images))


def modules_of(recipe: TrainingRecipe) -> tuple[str, ...]:
    """Dotted modules that carry out ``recipe`` and that the training loop loads by name: part of its fingerprint."""
    modules = [AUGMENTATION_MODULES[recipe.augmentation.family]] if recipe.augmentation.family != "none" else []
    return (*modules, *([MIXING_MODULE] if recipe.mixing is not None else []))


MIXING_MODULE = "bacon.transforms.mixing"
"""The module of Mixup and CutMix, loaded where a recipe mixes."""
