"""IID (Deng et al., CVPR 2024) on DM: keep a class's images together, and match the covariance of local features."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bacon.methods.base import CellSize, Method, PartialSettings, Passes, Work
from bacon.methods.dm.record import DM, DMSettings
from bacon.methods.matching_work import matching_work
from bacon.settings.cell_settings import CellSettings
from bacon.settings.distillation import MatchingSettings
from bacon.settings.network import NetworkSettings
from bacon.settings.pools import TrainedNetworks
from bacon.settings.recipe import SgdSettings, TrainingRecipe
from bacon.settings.training_need import TrainingNeed

EXTRACTORS = "extractors"
"""Name of the need: the networks whose features keep a class's images together."""
_EXTRACTOR_COST = 11  # a pass of ResNet-18 in passes of ConvNet-3, at 32x32


class RelationSettings(MatchingSettings):
    """What IID adds to its host's settings."""

    covariance_weight: float = Field(
        0.01, ge=0, description="Weight of covariance matching (published: DM 0.01, IDM 0.03; see `weights`)."
    )
    centralisation_weight: float = Field(
        0.05, ge=0, description="Weight of class centralisation (published: DM 0.05, IDM 0.01; see `weights`)."
    )
    weights: Literal["scaled", "code"] = Field(
        "scaled",
        description="scaled: the weights hold for IPC 10 and maps of 4x4, and are multiplied by 10 / IPC and (16 / places of a "
        "map)^2; code: as they are.",
    )
    extractor: NetworkSettings = Field(
        NetworkSettings(architecture="resnet18", norm="instance"),
        description="Network whose features class centralisation looks at.",
    )
    extractors: TrainedNetworks = Field(
        TrainedNetworks(runs=20, epochs=40),
        description="How many of these are trained on the real set (published code: up to 1000), and for how long.",
    )


class DmIidSettings(RelationSettings, DMSettings):
    """Settings of IID on DM."""


def needs(settings: CellSettings) -> tuple[TrainingNeed, ...]:
    """The extractors: SGD without augmentation (docs/algorithms.md, IID)."""
    own = settings.distillation
    assert isinstance(own, RelationSettings)
    recipe = TrainingRecipe(
        epochs=own.extractors.epochs,
        batch_size=256,
        optimiser=SgdSettings(lr=0.01, momentum=0.9, weight_decay=5e-4),
    )
    return (TrainingNeed(name=EXTRACTORS, network=own.extractor, recipe=recipe, runs=own.extractors.runs),)


def work(settings: Any, size: CellSize) -> Work:
    """What the host computes, and the synthetic images through an extractor."""
    host = matching_work(settings, size)
    images = _EXTRACTOR_COST * size.ipc * settings.parts() * size.classes
    return Work(iterations=host.iterations, passes=(*host.passes, Passes(kind="image_gradient", images=images)))


def scales(host: Method) -> dict[str, PartialSettings]:
    """The host's, with a few extractors."""
    smoke = {"extractor": {"architecture": "convnet", "width": 4, "depth": 2}, "extractors": {"runs": 2, "epochs": 1}}
    own: dict[str, dict[str, Any]] = {"smoke": smoke, "demo": {"extractors": {"runs": 2, "epochs": 5}}}
    return {name: {"distillation": {**host.scales[name]["distillation"], **layer}} for name, layer in own.items()}


SUMMARY = "with class centralisation, and with matched covariances of local features."
REFERENCE = "Deng et al., Exploiting Inter-sample and Inter-feature Relations in Dataset Distillation, CVPR 2024"
TERM_TITLES = {"covariance": "Covariance matching", "centralisation": "Class centralisation"}

DM_IID = Method(
    name="dm_iid",
    title="DM+IID",
    summary=f"DM {SUMMARY}",
    reference=REFERENCE,
    settings_model=DmIidSettings,
    algorithm="bacon.methods.dm_iid.algorithm:Iid",
    settings=DM.settings,
    scales=scales(DM),
    protocol="p-dsa",
    needs=needs,
    cost=work,
    figure_place=25,
    published_name="IID",
    term_titles={**DM.term_titles, **TERM_TITLES},
)
