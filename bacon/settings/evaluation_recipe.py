"""Parts of a training recipe from the flat keys of ``evaluation``. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from bacon.settings.augmentations import AugmentationSettings
from bacon.settings.recipe import (
    AdamSettings,
    CutMix,
    MixingSettings,
    Mixup,
    OptimiserSettings,
    ScheduleSettings,
    SgdSettings,
    Sharpness,
)

if TYPE_CHECKING:
    from bacon.settings.evaluation import EvaluationSettings

_AUGMENTATION: TypeAdapter[AugmentationSettings] = TypeAdapter(AugmentationSettings)
_SCHEDULE: TypeAdapter[ScheduleSettings] = TypeAdapter(ScheduleSettings)
_FREPO = "flip_color_zoom_rotate_translate_cutout"


def optimiser_of(settings: EvaluationSettings, rate: float) -> OptimiserSettings:
    """The optimiser, which begins with the learning rate ``rate``."""
    if settings.optimiser == "sgd":
        return SgdSettings(
            lr=rate, momentum=settings.momentum, nesterov=settings.nesterov, weight_decay=settings.weight_decay
        )
    return AdamSettings(kind=settings.optimiser, lr=rate, weight_decay=settings.weight_decay)


def schedule_of(kind: str, settings: EvaluationSettings) -> ScheduleSettings:
    """The schedule of a kind."""
    keys: dict[str, Any] = {"factor": settings.lr_factor} if kind in ("drop", "multistep") else {}
    if kind == "warmup_cosine":
        keys = {"warmup": settings.lr_warmup, "last": settings.lr_factor}
    if kind == "multistep":
        keys["milestones"] = settings.lr_milestones
    return _SCHEDULE.validate_python({"kind": kind} | keys)


def mixing_of(settings: EvaluationSettings) -> MixingSettings | None:
    """Mixup, CutMix, or neither."""
    if settings.mixing == "none":
        return None
    if settings.mixing == "mixup":
        return Mixup(alpha=settings.mixing_alpha, probability=settings.mixing_probability)
    return CutMix(beta=settings.mixing_alpha, probability=settings.mixing_probability)


def sharpness_of(settings: EvaluationSettings) -> Sharpness | None:
    """Sharpness-aware steps, or plain ones."""
    if settings.sam_rho is None:
        return None
    return Sharpness(rho=settings.sam_rho, adaptive=settings.sam_adaptive, gap=settings.sam_gap)


def augmentation_of(name: str, settings: EvaluationSettings) -> AugmentationSettings:
    """The augmentation of a name; where ``dsa_strategy`` leaves flip out, none mirrors (digits)."""
    mirror = "flip" in settings.dsa_strategy
    own: dict[str, dict[str, Any]] = {
        "none": {},
        "dsa": {"strategy": settings.dsa_strategy},
        "idc": {"strategy": _mirrored(settings.idc_strategy, mirror=mirror)},
        "dc": {"strategy": settings.dc_strategy},
        "frepo": {"strategy": _mirrored(_FREPO, mirror=mirror)},
        "crop_flip": {"pad": settings.crop_pad, "fill": settings.crop_fill, "flip": mirror},
        "random_resized_crop": {
            "scale": settings.resized_crop_scale,
            "flip": mirror,
            "patches": settings.shuffle_patches,
        },
    }
    return _AUGMENTATION.validate_python({"family": name} | own.get(name, {"mirror": mirror}))


def _mirrored(strategy: str, *, mirror: bool) -> str:
    return strategy if mirror else "_".join(name for name in strategy.split("_") if name != "flip")
