"""The parts of a protocol in words: optimiser, schedule, augmentation, mixing, labels and loss; each without a comma."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bacon.settings.evaluation import EvaluationSettings

_DSA_OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
# The field's usual values go unsaid; anything else is stated.
_USUAL = {"momentum": 0.9, "weight_decay": 5e-4}
_OPTIMISERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
_AUGMENTATIONS = {
    "none": "no augmentation",
    "auto": "AutoAugment",
    "rand": "RandAugment",
    "imagenet": "ImageNet's crop/flip/colour",
    "cifar": "CIFAR's crop/flip/cutout",
    "idc": "IDC's augmentation",
    "dc": "DC's augmentation",
    "frepo": "FRePo's augmentation",
    "crop_flip": "crop and flip",
    "random_resized_crop": "random resized crop",
}
_LOSSES = {"ce": "cross-entropy", "soft_ce": "soft cross-entropy", "kl": "KL", "mse": "MSE"}


def complete(evaluation_settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the defaults of keys that an older file does not have."""
    return {**EvaluationSettings().model_dump(mode="json"), **evaluation_settings}


def length_text(settings: Mapping[str, Any]) -> str:
    """``100 epochs``, ``1000 (300 without augmentation)``, ``5000 steps``, or epochs by the number of images."""
    if settings["steps"] is not None:
        return f"{int(settings['steps'])} steps"
    epochs = int(settings["epochs"])
    by_images = [f"{count} up to {bound} images per class" for bound, count in settings["epochs_by_images"]]
    text = f"{epochs} epoch{'s' if epochs > 1 else ''}"
    if by_images:
        return f"{text} ({'; '.join(by_images)})"
    plain, names = settings["epochs_plain"], settings["augmentations"]
    if plain is None or "none" not in names or plain == epochs:
        return text
    return f"{text} ({plain} without augmentation)"


def optimiser_texts(settings: Mapping[str, Any]) -> list[str]:
    """``SGD lr 0.01 (÷10 halfway)``, and momentum and weight decay where they are not the usual ones."""
    kind = str(settings["optimiser"])
    names = _USUAL if kind == "sgd" else {"weight_decay": None}
    unusual = [
        f"{key.replace('_', ' ')} {float(settings[key]):g}"
        for key, usual in names.items()
        if usual is None or float(settings[key]) != usual
    ]
    nesterov = ["Nesterov"] if settings["nesterov"] else []
    return [f"{_OPTIMISERS[kind]} lr {_rate_text(settings)}{_schedule_text(settings)}", *unusual, *nesterov]


def _rate_text(settings: Mapping[str, Any]) -> str:
    fixed, searched = f"{float(settings['lr_net']):g}", settings["lr_search"]
    if settings["lr"] == "learned":
        return f"learned (else {fixed})"
    if not searched:
        return fixed
    return f"the best on validation of {'/'.join(f'{float(rate):g}' for rate in searched)}"


def _schedule_text(settings: Mapping[str, Any]) -> str:
    kind, factor = settings["schedule"], float(settings["lr_factor"])
    change = f"÷{1 / factor:g}" if factor < 1 else f"\N{MULTIPLICATION SIGN}{factor:g}"
    if kind == "drop":
        # The rate drops after epoch (epochs - 1) // 2 + 1, counted from zero: too late for fewer than four.
        length = int(settings["steps"] or settings["epochs"])
        return f" ({change} halfway)" if (length - 1) // 2 + 1 < length - 1 else ""
    if kind == "multistep":
        places = "/".join(f"{100 * float(share):.0f}" for share in settings["lr_milestones"])
        return f" ({change} at {places} %)"
    return {"constant": "", "cosine": " (cosine)", "half_cosine": " (half cosine)"}[kind]


def augmentation_text(augmentations: Sequence[str], strategy: str) -> str:
    """``DSA without flip``, ``AutoAugment``, or ``mean over no augmentation + DSA``."""
    names = [dsa_text(strategy) if name == "dsa" else _AUGMENTATIONS[name] for name in augmentations]
    return names[0] if len(names) == 1 else f"mean over {' + '.join(names)}"


def dsa_text(strategy: str) -> str:
    """``DSA`` for all six operations, ``DSA without flip``, ``DSA color+crop``, or ``no augmentation``."""
    if strategy in ("none", ""):
        return "no augmentation"
    chosen = strategy.split("_")
    missing = [operation for operation in _DSA_OPERATIONS if operation not in chosen]
    if not missing:
        return "DSA"
    if len(missing) <= 2:
        return f"DSA without {' and '.join(missing)}"
    return f"DSA {'+'.join(chosen)}"


def further_texts(settings: Mapping[str, Any]) -> list[str]:
    """What a recipe adds: mixing, order, loss, label smoothing, clipping, averaged weights, sharpness-aware steps."""
    parts = []
    if settings["mixing"] != "none":
        share = float(settings["mixing_probability"])
        name = "CutMix" if settings["mixing"] == "cutmix" else f"Mixup {float(settings['mixing_alpha']):g}"
        parts.append(name if share == 1 else f"{name} on {100 * share:.0f} % of batches")
    if settings["order"] != "shuffled":
        parts.append("stored order" if settings["order"] == "stored" else "one image of each class a step")
    if settings["loss"]:
        parts.append(" + ".join(_loss_text(term) for term in settings["loss"]))
    named = (
        ("label_smoothing", "label smoothing"),
        ("clip_norm", "gradient norm up to"),
        ("ema", "weights averaged with decay"),
        ("sam_rho", "SAM rho"),
    )
    return [*parts, *(f"{words} {float(settings[key]):g}" for key, words in named if settings[key])]


def _loss_text(term: Mapping[str, Any]) -> str:
    """``0.1 cross-entropy``, ``KL at T 20``."""
    weight = float(term.get("weight", 1.0))
    factor = "" if weight == 1 else f"{weight:g} "
    temperature = f" at T {float(term.get('temperature', 1.0)):g}" if term["kind"] == "kl" else ""
    return f"{factor}{_LOSSES[term['kind']]}{temperature}"
