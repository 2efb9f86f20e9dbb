"""NCFM (Wang et al., CVPR 2025): match characteristic functions of embeddings, calibrated as DANCE is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bacon.methods.base import Method
from bacon.methods.dance.record import calibrated_work, scales
from bacon.settings.calibrated_matching import CalibratedSettings, endpoints


class NCFMSettings(CalibratedSettings):
    """Settings of NCFM."""

    batch_real: int = Field(1024, ge=2, description="Real images per class and iteration (at most all of them).")
    frequencies: int = Field(
        4096, ge=16, description="Frequencies at which characteristic functions are compared, drawn in each iteration."
    )
    sampling: Literal["normal", "network"] = Field(
        "normal",
        description="Frequencies: standard normal, as in every published configuration; or from a network that is trained "
        "against the images, as in the paper, a sixteenth as many.",
    )
    sampling_width: int = Field(2048, ge=1, description="Width of the sampling network.")
    weight: float = Field(300.0, gt=0, description="Weight of the characteristic functions' distance.")
    amplitude_weight: float = Field(0.5, ge=0, description="Weight of the difference of amplitudes.")
    phase_weight: float = Field(0.5, ge=0, description="Weight of the difference of phases.")
    optimiser: Literal["adamw", "sgd"] = Field(
        "adamw", description="Optimiser of the images (published: adamw; CIFAR-100 with IPC 10: sgd)."
    )
    lr_img: float = Field(0.001, gt=0, description="Learning rate of the synthetic images, as pixels in [0, 1].")
    momentum: float = Field(0.5, ge=0, lt=1, description="sgd: momentum of the synthetic images.")
    weight_decay: float = Field(5e-4, ge=0, description="adamw: weight decay of the synthetic images.")
    patience: int = Field(
        500, ge=1, description="The learning rate is halved when the loss has not fallen for more iterations than this."
    )


NCFM = Method(
    name="ncfm",
    title="NCFM",
    summary="Matches characteristic functions of embeddings between untrained and trained networks, with calibration.",
    reference="Wang et al., Dataset Distillation with Neural Characteristic Function: A Minmax Perspective, CVPR 2025",
    settings_model=NCFMSettings,
    algorithm="bacon.methods.ncfm.algorithm:NCFM",
    scales={
        name: {"distillation": {**layer["distillation"], "frequencies": count}}
        for (name, layer), count in zip(scales(150).items(), (512, 32), strict=True)
    },
    published={
        ("cifar100", 10): {"distillation": {"optimiser": "sgd", "lr_img": 0.01}},
        **{("tinyimagenet", ipc): {"network": {"depth": 4}} for ipc in (1, 10, 50)},
    },
    protocol="p-ncfm",
    needs=endpoints,
    cost=calibrated_work,
    figure_place=21,
    term_titles={"characteristic": "Characteristic function matching", "calibration": "Cross-entropy (nats)"},
)
