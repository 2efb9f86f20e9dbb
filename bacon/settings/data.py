"""Settings of a data set: where it comes from and how it is prepared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from bacon.settings.base import Strict

Level = Annotated[int, Field(ge=0, le=255)]


def usable_path(text: str) -> str:
    """A path with ``~`` replaced by the home folder, and without a trailing slash; everything else stands for itself.

    Raises:
        ValueError: it is empty, or holds a control character such as a line break.
    """
    if not text.strip():
        raise ValueError("is empty; name a file or folder, or leave the key out")
    if not text.isprintable():
        raise ValueError("holds a character that cannot be printed, such as a line break; a path is a single line")
    try:
        path = str(Path(text).expanduser() if text.startswith("~") else Path(text))
        return path if text.startswith("~") or not path.startswith("~") else f"./{path}"
    except RuntimeError:
        raise ValueError(
            "begins with ~ and a name, but there is no such user; write ./~ for a file of that name"
        ) from None


OwnPath = Annotated[str, AfterValidator(usable_path)]
"""A path as the user writes it; relative ones are relative to the working directory."""


class DataSettings(Strict):
    """One data set: where it comes from and how it is prepared."""

    format: Literal["registry", "npz", "imagefolder", "hdf5"] = Field(
        "registry", description="A data set of the registry, or the user's own files."
    )
    path: OwnPath | None = Field(
        None,
        description="Your own data: the file or folder, relative to the working directory; ~ is the home folder, and all other "
        "characters stand for themselves (variables such as $HOME are not replaced).",
    )
    size: int | None = Field(
        None, ge=4, le=1024, description="Side in pixels that images are resized to; null: as they are."
    )
    mean: tuple[float, ...] | None = Field(
        None, min_length=1, description="Mean per channel in [0, 1]; null: registry, or measured on train."
    )
    std: tuple[float, ...] | None = Field(
        None, min_length=1, description="Standard deviation per channel; null: as for mean."
    )
    title: str | None = Field(None, description="Name in tables and figures; null: the registry's, or the key.")
    archives: OwnPath | None = Field(
        None,
        description=(
            "Registry data: folder with official archives, a path as for `path`. They are verified "
            "and copied; only files that are missing there are downloaded."
        ),
    )
    mirrors: tuple[str, ...] = Field(
        (),
        description=(
            "Registry data: base addresses (http, https) tried before the official ones; the official file name "
            "is appended as /FILE. Files from mirrors are verified too."
        ),
    )
    test_fraction: float = Field(
        0.2, gt=0, lt=1, description="Own data without a test set: share of each class held out as the test set."
    )
    corrupt_limit: int = Field(
        0, ge=0, description="Image folder: at most this many unreadable files are skipped, each named in the log."
    )
    channels: Literal[1, 3] | None = Field(
        None, description="Own data: 1 (grey) or 3 (colour); null: grey if every image is grey."
    )
    background: tuple[Level, Level, Level] = Field(
        (255, 255, 255),
        description="Image folder: red, green and blue (0 to 255) of what transparent images are laid on: white.",
    )
    value_range: tuple[float, float] | None = Field(
        None,
        description=(
            "Image folder and npz: pixel values of black and white, such as [0, 4095]. In a folder they are those of images "
            "with more than 8 bits, where there are any. Null: 0 to 255, of fractions 0 to 1, of 16-bit images 0 to the "
            "largest number of 8, 10, 12, 14 or 16 bits, the fewest that hold the largest value; anything else is an error."
        ),
    )
    validation: float = Field(
        0.0, ge=0, lt=1, description="Share of each training class held out for validation (stratified); 0: none."
    )
    split_seed: int = Field(0, ge=0, description="Seed of the splits that are drawn here (test_fraction, validation).")
    zca: bool = Field(False, description="ZCA whitening fitted on the training split, instead of only mean and std.")
    zca_epsilon: float = Field(
        0.1, gt=0, description="Added to the eigenvalues of the pixel covariance before whitening (images in [0, 1])."
    )

    @model_validator(mode="after")
    def _normalisation_has_its_scale(self) -> DataSettings:
        for name, values, low in (("mean", self.mean, 0.0), ("std", self.std, None)):
            for value in values or ():
                if not value <= 1 or (low is not None and not value >= low):
                    raise ValueError(f"`{name}` is of images in [0, 1], so {_of_unit_scale(name, values or ())}")
        if self.value_range is not None and not -math.inf < self.value_range[0] < self.value_range[1] < math.inf:
            raise ValueError("`value_range` must be two numbers, the smaller one first")
        return self

    @model_validator(mode="after")
    def _keys_fit_the_format(self) -> DataSettings:
        if self.path is not None and self.format == "registry":
            raise ValueError(
                "`path` is of your own data: set `format` as well, to imagefolder (a folder of class folders), npz or hdf5"
            )
        if self.path is None and self.format != "registry":
            raise ValueError(f"the format {self.format} needs `path`: where your own data is")
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both `mean` and `std`, or neither")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("`std` must be positive in every channel")
        for mirror in self.mirrors:
            if not mirror.startswith(("http://", "https://")):
                raise ValueError(
                    f"`mirrors`: {mirror!r} is not an http or https address; name a folder under `archives` instead"
                )
        for names, formats in (
            (("archives", "mirrors"), ("registry",)),
            (("test_fraction", "value_range"), ("imagefolder", "npz")),
            (("channels",), ("imagefolder", "npz", "hdf5")),
            (("corrupt_limit", "background"), ("imagefolder",)),
        ):
            given = self.model_fields_set.intersection(names)
            if given and self.format not in formats:
                kinds = "format " + formats[0] if len(formats) == 1 else "formats " + ", ".join(formats)
                raise ValueError(f"`{min(given)}` belongs to the {kinds}, not to {self.format}")
        return self


def _of_unit_scale(name: str, values: Sequence[float]) -> str:
    """What is allowed and, of values that are plainly of 0..255, what to write instead."""
    allowed = "values lie in [0, 1]" if name == "mean" else "values lie in (0, 1]"
    if all(0 <= value <= 255 for value in values):
        scaled = ", ".join(f"{value / 255:.4g}" for value in values)
        return f"{allowed}; of images in 0..255, divide by 255: [{scaled}]"
    return f"{allowed}; found {list(values)}"
