"""Settings of the augmentation families, and which module of ``bacon.transforms`` each one is. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Discriminator, Field, field_validator, model_validator

from bacon.settings.base import Strict
from bacon.settings.dsa_strategy import PAPER_DSA_STRATEGY, check_dsa_strategy, check_strategy

IDC_OPERATIONS = ("flip", "color", "crop", "scale", "rotate", "cutout")
DC_OPERATIONS = ("crop", "scale", "rotate", "noise")
FREPO_OPERATIONS = ("flip", "color", "zoom", "rotate", "translate", "cutout")


class NoAugmentation(Strict):
    """No augmentation."""

    family: Literal["none"] = "none"


class Dsa(Strict):
    """DSA (Zhao and Bilen, 2021): one operation for each batch, its parameters for each image."""

    family: Literal["dsa"] = "dsa"
    strategy: str = Field(PAPER_DSA_STRATEGY, description="DSA operations joined by _, or none.")

    _check = field_validator("strategy")(check_dsa_strategy)


class Idc(Strict):
    """IDC's list (Kim et al., 2022): flip, colour, one of crop, scale and rotate, then cutout; parameters for each image."""

    family: Literal["idc"] = "idc"
    strategy: str = Field("flip_color_crop_scale_rotate_cutout", description="IDC operations joined by _.")

    @field_validator("strategy")
    @classmethod
    def _check(cls, value: str) -> str:
        return check_strategy(value, IDC_OPERATIONS, "IDC")


class Dc(Strict):
    """The evaluation augmentation of DC (Zhao et al., 2021): for each image one operation of the list."""

    family: Literal["dc"] = "dc"
    strategy: str = Field("crop_scale_rotate", description="DC operations joined by _.")

    @field_validator("strategy")
    @classmethod
    def _check(cls, value: str) -> str:
        return check_strategy(value, DC_OPERATIONS, "DC")


class Frepo(Strict):
    """FRePo's evaluation list (Zhou et al., 2022): one operation for each batch, its parameters for each image."""

    family: Literal["frepo"] = "frepo"
    strategy: str = Field("flip_color_zoom_rotate_translate_cutout", description="FRePo operations joined by _.")

    @field_validator("strategy")
    @classmethod
    def _check(cls, value: str) -> str:
        return check_strategy(value, FREPO_OPERATIONS, "FRePo")


class CropFlip(Strict):
    """The usual augmentation of small images: pad, crop back to size at random, mirror half of the images."""

    family: Literal["crop_flip"] = "crop_flip"
    pad: int = Field(4, ge=0, description="Pixels added on each side before the crop.")
    fill: Literal["zero", "reflect"] = Field(
        "zero",
        description="Value of the added pixels: zero (black; 0 where images are whitened), or the image reflected.",
    )
    flip: bool = Field(True, description="Mirror left and right with probability one half.")


class RandomResizedCrop(Strict):
    """A crop of random area and aspect ratio, brought to full size bilinearly (torchvision's RandomResizedCrop)."""

    family: Literal["random_resized_crop"] = "random_resized_crop"
    scale: tuple[float, float] = Field((0.08, 1.0), description="Smallest and largest share of the image's area.")
    ratio: tuple[float, float] = Field((0.75, 4 / 3), description="Smallest and largest width / height.")
    flip: bool = Field(True, description="Mirror left and right with probability one half.")
    patches: int = Field(
        1,
        ge=1,
        le=8,
        description="Shuffle the rows and the columns of patches x patches tiles of each image before the crop (RDED); 1: no "
        "shuffling.",
    )

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> RandomResizedCrop:
        for name, (low, high) in (("scale", self.scale), ("ratio", self.ratio)):
            if not 0 < low <= high:
                raise ValueError(f"`{name}` is ({low}, {high}): give two positive numbers, the smaller one first")
        if self.scale[1] > 1:
            raise ValueError(f"`scale` is {self.scale}: a crop is at most the whole image (1.0)")
        return self


class Policy(Strict):
    """DC-BENCH's augmentations of pixels: AutoAugment, RandAugment, and the usual ones of ImageNet and CIFAR."""

    family: Literal["auto", "rand", "imagenet", "cifar"]
    mirror: bool = Field(True, description="Whether imagenet and cifar may exchange left and right.")


PIXEL_AUGMENTATIONS: tuple[str, ...] = get_args(Policy.model_fields["family"].annotation)
"""Families that need pixel values, which whitened images do not have."""

AugmentationSettings = Annotated[
    NoAugmentation | Dsa | Idc | Dc | Frepo | CropFlip | RandomResizedCrop | Policy, Discriminator("family")
]

AUGMENTATION_MODULES: Mapping[str, str] = {
    "dsa": "bacon.transforms.dsa",
    "idc": "bacon.transforms.idc",
    "dc": "bacon.transforms.dc",
    "frepo": "bacon.transforms.frepo",
    "crop_flip": "bacon.transforms.crop_flip",
    "random_resized_crop": "bacon.transforms.resized_crop",
    "auto": "bacon.transforms.policies",
    "rand": "bacon.transforms.policies",
    "imagenet": "bacon.transforms.policies",
    "cifar": "bacon.transforms.policies",
}
"""Family -> the module whose ``augmentation(settings)`` makes it; ``none`` needs none."""
