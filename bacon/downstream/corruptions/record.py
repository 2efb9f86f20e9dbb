"""Common corruptions: accuracy on test images with noise, blur, weather and digital artefacts, as in CIFAR-10-C."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from bacon.downstream.base import Task, TaskColumn, TaskSize, TaskWork
from bacon.settings.downstream import TaskSettings, each_once

Corruption = Literal[
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow", "frost",
    "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression", "speckle_noise", "gaussian_blur",
    "spatter", "saturate",
]  # fmt: skip
COMMON: tuple[Corruption, ...] = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow", "frost",
    "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip
"""The fifteen of the benchmark; the other four were meant for validation."""


class CorruptionSettings(TaskSettings):
    """Which corruptions, how strong, and of how many test images."""

    corruptions: tuple[Corruption, ...] = Field(
        COMMON, min_length=1, description="Corruptions of the package imagecorruptions."
    )
    severities: tuple[Annotated[int, Field(ge=1, le=5)], ...] = Field(
        (1, 2, 3, 4, 5), min_length=1, description="Severities, 1 to 5."
    )
    test_images: int | None = Field(
        None, ge=1, description="Number of test images that are corrupted, drawn once for a data set; null: all."
    )

    _each_once = field_validator("corruptions", "severities")(each_once)


def corruption_title(name: str) -> str:
    """Name of a corruption in tables and figures."""
    return name.replace("_", " ").capitalize().replace("Jpeg", "JPEG")


def columns(settings: CorruptionSettings) -> tuple[TaskColumn, ...]:
    """Clean accuracy, mean corruption error, what it adds, and the accuracy under each corruption over its severities."""
    each = (
        TaskColumn(metric="corrupted_accuracy", condition=name, title=f"{corruption_title(name)} (%)")
        for name in settings.corruptions
    )
    return (
        TaskColumn(metric="accuracy", title="Clean (%)"),
        TaskColumn(metric="mce", title="mCE (%)"),
        TaskColumn(metric="relative_mce", title="mCE - clean error (%)", possible=(-1.0, 1.0)),
        *each,
    )


def notes(settings: CorruptionSettings) -> tuple[str, ...]:
    """What the columns are."""
    severities = ", ".join(map(str, settings.severities))
    return (
        f"Accuracy on corrupted test images, mean over the severities {severities}. mCE: mean corruption error, one minus the "
        "mean of these accuracies, not divided by another network's error. The strengths are the package's, which are those of "
        f"ImageNet-C: on small images they are harder than those of CIFAR-10-C. Images of less than 32 pixels per side "
        "are continued beyond their edge before they are corrupted, and cut out again; of grey images the first of three equal "
        "channels is corrupted.",
    )


def work(settings: CorruptionSettings, size: TaskSize) -> TaskWork:
    """A pass over the images for each corruption and severity."""
    images = min(settings.test_images or size.test, size.test)
    total = images * (1 + len(settings.corruptions) * len(settings.severities))
    return TaskWork(forward=total, passes=total / 256)


CORRUPTIONS = Task(
    name="corruptions",
    title="Common corruptions",
    summary="Accuracy on corrupted test images (noise, blur, weather, digital artefacts), and the mean corruption error.",
    reference="Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, ICLR "
    "2019, arXiv:1903.12261",
    settings_model=CorruptionSettings,
    algorithm="bacon.downstream.corruptions.algorithm:Corruptions",
    columns=columns,
    notes=notes,
    figure="Accuracy under corruption",
    scales={
        "smoke": {"test_images": 8, "corruptions": ["gaussian_noise", "fog"], "severities": [1, 5]},
        "demo": {"test_images": 200},
    },
    cost=work,
    packages={
        "imagecorruptions": "install it with `pip install imagecorruptions-imaug` (imagecorruptions itself does not work with "
        "NumPy 2)"
    },
)
