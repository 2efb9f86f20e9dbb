"""What a configuration file may hold: the grid, data sets, layers of partial cell settings, and how jobs run.

The JSON schema in ``workflow/schemas`` is generated from ``Config``, and ``bacon.layering`` makes the settings of a cell
(``bacon.settings``) of its layers. Nothing here imports torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from bacon.methods.base import Strict


class DataSettings(Strict):
    """One data set: where it comes from and how it is prepared."""

    format: Literal["registry", "npz", "imagefolder", "hdf5"] = Field(
        "registry", description="A data set of the registry, or the user's own files."
    )
    path: str | None = Field(None, description="Own data: the file or folder, relative to the working directory.")
    size: int | None = Field(
        None, ge=4, le=1024, description="Side in pixels that images are brought to; null: as they are."
    )
    mean: tuple[float, ...] | None = Field(
        None, description="Mean per channel in [0, 1]; null: registry, or measured on train."
    )
    std: tuple[float, ...] | None = Field(None, description="Standard deviation per channel; null: as for mean.")
    title: str | None = Field(None, description="Name in tables and figures; null: the registry's, or the key.")
    archives: str | None = Field(
        None,
        description=(
            "Registry data: folder with official archives, relative to the working directory. They are verified and copied, so "
            "that nothing is downloaded but what is missing there."
        ),
    )
    mirrors: tuple[str, ...] = Field(
        (),
        description=(
            "Registry data: base addresses (http, https) tried before the official ones; /FILE is appended, the official "
            "name. What they serve is verified all the same."
        ),
    )
    test_fraction: float = Field(
        0.2, gt=0, lt=1, description="Image folder without test or val: share of each class held out as the test set."
    )
    corrupt_limit: int = Field(
        0, ge=0, description="Image folder: at most this many unreadable files are skipped, each named in the log."
    )
    channels: Literal[1, 3] | None = Field(
        None, description="Image folder: 1 grey, 3 colour; null: grey when every image is grey."
    )
    validation: float = Field(
        0.0, ge=0, lt=1, description="Share of each training class held out for validation (stratified); 0: none."
    )
    split_seed: int = Field(0, ge=0, description="Seed of the splits that are drawn here (test_fraction, validation).")
    zca: bool = Field(False, description="ZCA whitening fitted on the training split, instead of mean and std alone.")
    zca_epsilon: float = Field(
        0.1, gt=0, description="Added to the eigenvalues of the pixel covariance before whitening (images in [0, 1])."
    )

    @model_validator(mode="after")
    def _keys_fit_the_format(self) -> DataSettings:
        if (self.path is None) != (self.format == "registry"):
            raise ValueError("`path` is needed by, and only by, the formats npz, imagefolder and hdf5")
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both `mean` and `std`, or neither")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("`std` must be positive in every channel")
        for mirror in self.mirrors:
            if not mirror.startswith(("http://", "https://")):
                raise ValueError(f"`mirrors`: {mirror!r} is no http or https address; a folder belongs into `archives`")
        for names, formats in (
            (("archives", "mirrors"), ("registry",)),
            (("test_fraction", "corrupt_limit", "channels"), ("imagefolder",)),
        ):
            given = self.model_fields_set.intersection(names)
            if given and self.format not in formats:
                raise ValueError(f"`{min(given)}` belongs to the format {formats[0]}, not to {self.format}")
        return self


class RunSettings(Strict):
    """How jobs run; nothing here changes a number, so nothing here makes a cell stale."""

    threads: int = Field(1, ge=1, le=256, description="CPU threads of a distillation or evaluation job.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a free GPU where there is one, else the CPU."
    )
    chunk_images: int = Field(2048, ge=1, description="Real images embedded at a time; lower it to save memory.")
    progress_seconds: float = Field(10.0, gt=0, description="Seconds between progress lines in log files.")
    checkpoint_seconds: float = Field(
        300.0, ge=0, description="Seconds between checkpoints of a distillation; 0: after every iteration."
    )
    jobs_per_gpu: int = Field(
        1, ge=1, le=16, description="Jobs that may share one GPU of this machine; under SLURM the scheduler decides."
    )


class GridSettings(Strict):
    """Which cells exist: data set x method x IPC x seed, each evaluated with every network."""

    datasets: tuple[str, ...] = Field(("digits",), min_length=1, description="Names of the registry or of `data`.")
    methods: tuple[str, ...] = Field(
        ("random", "dm", "idm", "bacon"), min_length=1, description="Methods; the full data set is always added."
    )
    ipc: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 10), min_length=1, description="Images per class.")
    seeds: int | tuple[Annotated[int, Field(ge=0)], ...] = Field(
        3, description="Distillation seeds: a number n for 0..n-1, or a list."
    )
    networks: tuple[str, ...] = Field(
        ("convnet",), min_length=1, description="Evaluation networks, from `networks`, or known by name."
    )
    exclude: tuple[str, ...] = Field((), description="Cells left out: patterns such as tinyimagenet/*/ipc50/*.")

    @field_validator("seeds")
    @classmethod
    def _some_seeds(cls, value: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if value == () or (isinstance(value, int) and value < 1):
            raise ValueError("at least one distillation seed is needed")
        return value

    def seed_list(self) -> tuple[int, ...]:
        """The distillation seeds, explicit."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds


class Layer(Strict):
    """Partial cell settings; `bacon.layering` checks each key against the models above."""

    network: dict[str, Any] = Field(default_factory=dict, description="Keys of the distillation network.")
    distillation: dict[str, Any] = Field(default_factory=dict, description="Keys of distillation.")
    evaluation: dict[str, Any] = Field(default_factory=dict, description="Keys of evaluation.")


class PresetLayer(Layer):
    """One part of a preset."""

    methods: tuple[str, ...] | None = Field(None, description="Methods it applies to; null: all.")


class CellLayer(PresetLayer):
    """The (data set, IPC) layer."""

    dataset: str = Field(description="Data set it applies to.")
    ipc: int = Field(ge=1, description="IPC it applies to.")


class VariantLayer(Layer):
    """A method with other settings, beside the method itself: a column of its own in tables and figures."""

    method: str = Field(description="The method it is a variant of.")
    title: str | None = Field(None, description="Name in tables and figures; null: its key.")


class Config(Strict):
    """A configuration file."""

    preset: str = Field("paper", description="Named bundle of settings below the method layer; see bacon/presets.py.")
    protocol: Literal["paper", "dc-bench", "dd-ranking"] = Field(
        "paper",
        description="Named evaluation protocol, a layer below the preset; see bacon/presets.py and docs/evaluation.md.",
    )
    grid: GridSettings = Field(default_factory=GridSettings)
    data: dict[str, DataSettings] = Field(
        default_factory=dict, description="Own data sets, or changes to registered ones."
    )
    networks: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Named evaluation networks: changes to the cell's own network, which is `convnet`, or another "
        "architecture. Known without an entry here: the names of NETWORKS in bacon/presets.py, such as mlp, "
        "lenet, alexnet, vgg11, resnet18.",
    )
    methods: dict[str, Layer] = Field(default_factory=dict, description="The method layer.")
    variants: dict[str, VariantLayer] = Field(
        default_factory=dict,
        description="Methods with other settings under a name of their own, for `grid.methods`: the settings of its method, "
        "and above its (data set, IPC) layer those given here. Variants that differ from their method in one number are drawn "
        "as its sensitivity.",
    )
    datasets: dict[str, Layer] = Field(default_factory=dict, description="The data set layer.")
    cells: tuple[CellLayer, ...] = Field((), description="The (data set, IPC) layer.")
    overrides: dict[str, Layer] = Field(
        default_factory=dict, description="Last layer: patterns of cells (digits/bacon/ipc10/seed*) and their settings."
    )
    stale_on_upgrade: tuple[str, ...] = Field(
        (),
        description="Packages, such as torch, whose version is part of every fingerprint: with another version results are "
        "stale. Otherwise versions are recorded in the artifacts, and make nothing stale.",
    )
    run: RunSettings = Field(default_factory=RunSettings)

    def base_method(self, method: str) -> str:
        """The registered method that a name stands for: a variant's own, otherwise the name itself."""
        return self.variants[method].method if method in self.variants else method
