"""Every setting of the evaluation that trains reaches the recipe of a network, by its own name there."""

from __future__ import annotations

import pytest

from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.recipe import TrainingRecipe

SGD = {"lr_net": 0.3, "momentum": 0.4, "weight_decay": 0.02}
ADAM = {"lr_net": 0.003, "weight_decay": 0.02}
NO_FLIP = "color_crop_cutout_scale_rotate"

RECIPES = {
    "sgd, multistep, mixup": (
        SGD
        | {"nesterov": True, "schedule": "multistep", "lr_factor": 0.5, "lr_milestones": (0.25, 0.5)}
        | {"mixing": "mixup", "mixing_alpha": 0.3, "mixing_probability": 0.7},
        {
            "optimiser": {"kind": "sgd", "lr": 0.3, "momentum": 0.4, "weight_decay": 0.02, "nesterov": True},
            "schedule": {"kind": "multistep", "factor": 0.5, "milestones": (0.25, 0.5)},
            "mixing": {"kind": "mixup", "alpha": 0.3, "probability": 0.7},
        },
    ),
    "adamw, warm-up, cutmix": (
        ADAM
        | {"optimiser": "adamw", "schedule": "warmup_cosine", "lr_warmup": 3, "lr_factor": 0.04}
        | {"mixing": "cutmix", "mixing_alpha": 0.3, "mixing_probability": 0.7},
        {
            "optimiser": {"kind": "adamw", "lr": 0.003, "weight_decay": 0.02},
            "schedule": {"kind": "warmup_cosine", "warmup": 3, "last": 0.04},
            "mixing": {"kind": "cutmix", "beta": 0.3, "probability": 0.7},
        },
    ),
    "adam, drop, clipped and averaged sharp steps": (
        ADAM
        | {"optimiser": "adam", "schedule": "drop", "lr_factor": 0.3, "clip_norm": 2.0, "ema": 0.9}
        | {"sam_rho": 0.2, "sam_adaptive": True, "sam_gap": 0.4, "label_smoothing": 0.1, "order": "stored"},
        {
            "optimiser": {"kind": "adam", "lr": 0.003, "weight_decay": 0.02},
            "schedule": {"kind": "drop", "factor": 0.3},
            "clip_norm": 2.0,
            "ema": 0.9,
            "sharpness": {"rho": 0.2, "adaptive": True, "gap": 0.4},
            "label_smoothing": 0.1,
            "order": "stored",
        },
    ),
    "terms of the loss": (
        ADAM
        | {"optimiser": "adam", "schedule": "half_cosine", "labels": "stored"}
        | {"loss": [{"kind": "kl", "temperature": 4.0, "scaled": True}, {"kind": "mse", "over_classes": "sum"}]},
        {
            "optimiser": {"kind": "adam", "lr": 0.003, "weight_decay": 0.02},
            "schedule": {"kind": "half_cosine"},
            "labels": "stored",
            "loss": [{"kind": "kl", "temperature": 4.0, "scaled": True}, {"kind": "mse", "over_classes": "sum"}],
        },
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_settings_of_the_training_are_those_of_the_recipe(name):
    given, expected = RECIPES[name]
    settings = EvaluationSettings(augmentations=["none"], epochs=12, batch_size=7, **given)
    assert settings.recipe(images=30, classes=3) == TrainingRecipe(epochs=12, batch_size=7, **expected)


AUGMENTATIONS = {
    "dsa": ({"dsa_strategy": "flip_crop"}, {"strategy": "flip_crop"}),
    "idc": ({"idc_strategy": "flip_color_scale"}, {"strategy": "flip_color_scale"}),
    "dc": ({"dc_strategy": "crop_noise"}, {"strategy": "crop_noise"}),
    "crop_flip": ({"crop_pad": 2, "crop_fill": "reflect"}, {"pad": 2, "fill": "reflect", "flip": True}),
    "random_resized_crop": (
        {"resized_crop_scale": (0.3, 0.6), "shuffle_patches": 2},
        {"scale": (0.3, 0.6), "patches": 2, "flip": True},
    ),
    "cifar": ({}, {"mirror": True}),
}


@pytest.mark.parametrize("family", AUGMENTATIONS)
def test_settings_of_an_augmentation_are_those_of_the_recipe(family):
    given, expected = AUGMENTATIONS[family]
    recipe = EvaluationSettings(augmentations=[family], **given).recipe(images=30, classes=3)
    assert recipe.augmentation.model_dump() == type(recipe.augmentation)(family=family, **expected).model_dump()


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("idc", {"strategy": "color_scale"}),
        ("frepo", {"strategy": "color_zoom_rotate_translate_cutout"}),
        ("crop_flip", {"flip": False}),
        ("random_resized_crop", {"flip": False}),
        ("cifar", {"mirror": False}),
    ],
)
def test_no_augmentation_mirrors_where_the_strategy_of_dsa_has_no_flip(family, expected):
    settings = EvaluationSettings(augmentations=[family], dsa_strategy=NO_FLIP, idc_strategy="flip_color_scale")
    found = settings.recipe(images=30, classes=3).augmentation.model_dump()
    assert {name: found[name] for name in expected} == expected
