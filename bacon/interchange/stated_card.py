"""What the card of an exported set states, typed: the part of its metadata that can be compared with the set."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bacon.runtime.errors import BaconError
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.settings.training_need import TrainingNeed

_NO_TEACHERS = "the card does not say which teachers label the batches"


class _Stated(BaseModel):
    """A card holds more than what is compared, and whoever reads it converts nothing."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class StatedSettings(_Stated):
    """How the networks of an accuracy were trained."""

    network: dict[str, Any]
    evaluation: dict[str, Any]

    def typed(self) -> tuple[NetworkSettings, EvaluationSettings]:
        """Both, as this program uses them.

        Raises:
            BaconError: they are of a version of this program with other settings.
        """
        try:
            return NetworkSettings.model_validate(self.network), EvaluationSettings.model_validate(self.evaluation)
        except ValidationError as error:
            raise BaconError(
                f"the card's settings are not those of this version: {first_error(error)}; use the one that exported the set"
            ) from None


class StatedAccuracy(_Stated):
    """An accuracy in [0, 1]: mean, sd and 95 % interval of the mean over ``n`` networks, and how these were trained.

    ``whitened``: on images whitened by ZCA.
    """

    network: str
    network_text: str
    protocol: str
    protocol_name: str = ""
    whitened: bool = False
    mean: float = Field(ge=0, le=1)
    sd: float | None = Field(ge=0)
    n: int = Field(ge=1)
    interval: list[float] | None = Field(min_length=2, max_length=2)
    settings: StatedSettings

    @model_validator(mode="after")
    def _one_network_has_no_spread(self) -> StatedAccuracy:
        if (self.sd is None) != (self.n == 1) or (self.interval is None) != (self.n == 1):
            raise ValueError(f"n is {self.n}, so sd and interval must be {'null' if self.n == 1 else 'given'}")
        return self


class StatedCard(_Stated):
    """What a card states of its set (``bacon.interchange.content.Export``); ``files`` and ``folders`` only of a folder.

    ``settings`` are those that the set was distilled with.
    """

    dataset: str
    method: str
    ipc: int = Field(ge=1)
    seed: int
    class_names: list[str]
    count: int
    shape: list[int] = Field(min_length=3, max_length=3)
    evaluations: list[StatedAccuracy]
    files: dict[str, str] | None = None
    folders: list[str] = Field(default_factory=list)
    images: str = "."
    card_sha256: str
    settings: dict[str, Any] = Field(default_factory=dict)

    def teachers(self, evaluation: StatedSettings) -> tuple[TrainingNeed, ...]:
        """What is trained to label the batches of an evaluation of the card; nothing where no teacher does.

        Raises:
            BaconError: the card does not say which networks they are, or how they are trained.
        """
        _, settings = evaluation.typed()
        if settings.labels != "teacher":
            return ()
        if "teachers" not in evaluation.evaluation:
            raise BaconError(f"{_NO_TEACHERS}: the settings of its evaluation have no `teachers`")
        named = settings.teachers.network is not None or bool(settings.teachers.networks)
        if not named and "network" not in self.settings:
            raise BaconError(
                f"{_NO_TEACHERS}: they have the network that the set was distilled with, and there is no `settings.network`"
            )
        try:
            own = NetworkSettings.model_validate(self.settings.get("network", {}))
        except ValidationError as error:
            raise BaconError(f"{_NO_TEACHERS}: settings.network.{first_error(error)}") from None
        return settings.needs(own)


def first_error(error: ValidationError) -> str:
    """The first thing that is wrong, in words: where, and why."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    words = first["msg"].removeprefix("Value error, ")
    return f"{where}: {words}" if where else words
