"""Parts of an evaluation's settings in words: augmentation, learning rate, labels, loss and what else steps do.

Parts are joined by commas where they are read, so none has a comma of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.settings.architectures import ARCHITECTURES
from bacon.settings.augmentations import DC_OPERATIONS, FREPO_OPERATIONS, IDC_OPERATIONS

if TYPE_CHECKING:
    from bacon.settings.evaluation import EvaluationSettings
    from bacon.settings.recipe import LossTermSettings

SOFT = "soft labels"
OF_TEACHERS = "labels of "
"""How labels of teachers are called."""
NO_AUGMENTATION = "no augmentation"
_DSA_OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
_OPTIMISERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
# The field's usual values go unsaid; anything else is stated.
_MOMENTUM, _WEIGHT_DECAY = 0.9, 5e-4


def augmentations_text(settings: EvaluationSettings) -> str:
    """``DSA without flip``, ``AutoAugment``, or ``mean over no augmentation + DSA``."""
    names = [augmentation_text(name, settings) for name in settings.augmentations]
    return names[0] if len(names) == 1 else f"mean over {' + '.join(names)}"


def augmentation_text(name: str, settings: EvaluationSettings) -> str:
    """An augmentation of ``evaluation.augmentations`` as it is with these settings; what mirrors nothing claims no flip."""
    mirrors = "flip" in settings.dsa_strategy
    flip = "/flip" if mirrors else ""
    shuffled = f"{settings.shuffle_patches} x {settings.shuffle_patches} tiles shuffled + " * (
        settings.shuffle_patches > 1
    )
    low, high = settings.resized_crop_scale
    return {
        "none": NO_AUGMENTATION,
        "dsa": dsa_text(settings.dsa_strategy),
        "idc": _list_text("IDC's list", _mirrored(settings.idc_strategy, mirrors=mirrors), IDC_OPERATIONS),
        "dc": _list_text("DC's list", settings.dc_strategy, DC_OPERATIONS),
        "frepo": _list_text("FRePo's list", _mirrored("_".join(FREPO_OPERATIONS), mirrors=mirrors), FREPO_OPERATIONS),
        "crop_flip": f"crop{flip}{_padding_text(settings)}",
        "random_resized_crop": f"{shuffled}random resized crop{flip} (area {low:g} to {high:g})",
        "auto": "AutoAugment",
        "rand": "RandAugment",
        "imagenet": f"ImageNet's crop{flip}/colour",
        "cifar": f"CIFAR's crop{flip}/cutout",
    }[name]


def _padding_text(settings: EvaluationSettings) -> str:
    """What is padded before the crop, where it is not four pixels of zeros."""
    if (settings.crop_pad, settings.crop_fill) == (4, "zero"):
        return ""
    return f" ({settings.crop_pad} pixels padded with {'zeros' if settings.crop_fill == 'zero' else 'reflections'})"


def dsa_text(strategy: str) -> str:
    """``DSA`` for all six operations, ``DSA without flip``, ``DSA color+crop``, or ``no augmentation``."""
    return NO_AUGMENTATION if strategy in ("none", "") else _list_text("DSA", strategy, _DSA_OPERATIONS)


def _mirrored(strategy: str, *, mirrors: bool) -> str:
    return strategy if mirrors else "_".join(name for name in strategy.split("_") if name != "flip")


def _list_text(title: str, strategy: str, operations: tuple[str, ...]) -> str:
    chosen = strategy.split("_")
    missing = [operation for operation in operations if operation not in chosen]
    if not missing:
        return title
    return f"{title} without {' and '.join(missing)}" if len(missing) <= 2 else f"{title} {'+'.join(chosen)}"


def optimiser_text(settings: EvaluationSettings, units: int, *, learned_rates: int) -> list[str]:
    """Optimiser and learning rate, and its other numbers where they are not the usual ones.

    Args:
        settings: of the evaluation.
        units: epochs, or steps where they are counted, of the training.
        learned_rates: learned learning rates of the images.
    """
    first = f"{_OPTIMISERS[settings.optimiser]}{' with Nesterov momentum' if settings.nesterov else ''} lr "
    if settings.lr == "learned" and learned_rates > 1:
        rate = "learned for each step"
    elif settings.lr == "learned" and learned_rates == 1:
        rate = f"learned with the images{_schedule_text(settings, units)}"
    else:
        rate = f"{_rate_text(settings)}{_schedule_text(settings, units)}"
    momentum = settings.optimiser == "sgd" and settings.momentum != _MOMENTUM
    decay = settings.optimiser != "sgd" or settings.weight_decay != _WEIGHT_DECAY
    return [
        first + rate,
        *([f"momentum {settings.momentum:g}"] if momentum else []),
        *([f"weight decay {settings.weight_decay:g}"] if decay else []),
    ]


def _rate_text(settings: EvaluationSettings) -> str:
    of = " of the largest stable rate" if settings.lr == "ntk" else ""
    return _factor_text(settings) + of


def _factor_text(settings: EvaluationSettings) -> str:
    if not settings.lr_search:
        return f"{settings.lr_net:g}"
    return f"the best on validation of {'/'.join(f'{rate:g}' for rate in settings.lr_search)}"


def _schedule_text(settings: EvaluationSettings, units: int) -> str:
    """How the rate changes; the drop comes after unit (units - 1) // 2 + 1, from zero: too late for fewer than four."""
    factor = settings.lr_factor
    change = f"÷{1 / factor:g}" if factor < 1 and abs(1 / factor - round(1 / factor)) < 1e-9 else f"{factor:g} times"
    places = "/".join(f"{100 * share:.0f}" for share in settings.lr_milestones)
    return {
        "drop": f" ({change} halfway)" if (units - 1) // 2 + 1 < units - 1 else "",
        "constant": "" if units < 2 else " (constant)",
        "multistep": f" ({change} after {places} % of the training)",
        "cosine": " (cosine to 0)",
        "half_cosine": " (cosine to half)",
        "warmup_cosine": f" (up from 0 in {min(settings.lr_warmup, units // 2)}, cosine to {100 * factor:g} %)",
    }[settings.schedule]


def labels_text(settings: EvaluationSettings, *, has_soft: bool) -> list[str]:
    """What networks were trained with, where images or settings leave a choice, and the loss where it is not the usual."""
    if settings.labels == "teacher":
        words = [f"{OF_TEACHERS}{_teachers_text(settings)}"]
    else:
        words = [SOFT if settings.labels == "stored" else "hard labels"] if has_soft else []
    smoothing = [f"label smoothing {settings.label_smoothing:g}"] if settings.label_smoothing else []
    return [*words, *([f"loss {' + '.join(map(_term_text, settings.loss))}"] if settings.loss else []), *smoothing]


def _teachers_text(settings: EvaluationSettings) -> str:
    """How many there are, their architectures where they are named, and their epochs; without a comma."""
    networks = settings.teachers.networks or (settings.teachers.network,)
    count = settings.teachers.runs * len(networks)
    titles = [ARCHITECTURES[one.architecture].title for one in networks if one is not None]
    which = f" ({' + '.join(titles)})" if titles else ""
    equal = " with logits of equal norms" if settings.teacher_norms == "equal" and count > 1 else ""
    named = "a teacher" if count == 1 else f"{count} teachers"
    return f"{named}{which} of {settings.teachers.epochs} epochs{equal}"


def _term_text(term: LossTermSettings) -> str:
    name = {"ce": "cross-entropy", "soft_ce": "cross-entropy with soft labels", "mse": "MSE", "kl": "KL"}[term.kind]
    temperature = f" at T {term.temperature:g}{' times T^2' if term.scaled else ''}" if term.kind == "kl" else ""
    summed = " summed over classes" if term.over_classes == "sum" else ""
    return f"{'' if term.weight == 1 else f'{term.weight:g} '}{name}{temperature}{summed}"


def regression_text(settings: EvaluationSettings) -> list[str]:
    """The kernel, as far as it is not the usual one, and the ridge."""
    kernel = {"ntk": "neural tangent kernel", "nngp": "NNGP kernel", "none": "no kernel"}[settings.regression]
    layers = f"{settings.regression_depth} hidden layer{'s' if settings.regression_depth > 1 else ''}"
    return [f"{kernel} of {layers}", f"biases {settings.regression_bias_std:g}", f"ridge {settings.regression_ridge:g}"]


def step_text(settings: EvaluationSettings) -> list[str]:
    """Mixing, clipping, averaging and sharpness-aware steps, where there are any, and a fixed start."""
    parts = ["from one fixed network"] if settings.initialisation == "fixed" else []
    if settings.mixing != "none":
        kind = {"mixup": "Mixup", "cutmix": "CutMix"}[settings.mixing]
        share = (
            "" if settings.mixing_probability == 1 else f" on {100 * settings.mixing_probability:g} % of the batches"
        )
        parts.append(f"{kind}{'' if settings.mixing_alpha == 1 else f' alpha {settings.mixing_alpha:g}'}{share}")
    if settings.clip_norm is not None:
        parts.append(f"gradient norm at most {settings.clip_norm:g}")
    if settings.sam_rho is not None:
        adaptive = "adaptive " if settings.sam_adaptive else ""
        gap = f" with gap {settings.sam_gap:g}" if settings.sam_gap else ""
        parts.append(f"{adaptive}sharpness-aware steps of {settings.sam_rho:g}{gap}")
    if settings.ema is not None:
        parts.append(f"weights averaged with decay {settings.ema:g}")
    return parts
