"""The evaluation protocols of the literature, each a named record of partial ``evaluation`` settings.

Numbers are those of the methods' published code, with the difference that accuracy is always that of the last epoch: nothing is
ever chosen on test images, whatever the code reports. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bacon.settings import protocol_data
from bacon.settings.protocol_data import DataFacts

_NO_CUTOUT = "flip_color_crop_scale_rotate"
FIVE_NETWORKS: tuple[Mapping[str, Any], ...] = (
    {"architecture": "resnet18", "norm": "batch"},
    {"architecture": "convnet", "width": 128, "depth": 3, "norm": "instance"},
    {"architecture": "mobilenet_v2"},
    {"architecture": "wrn16_2"},
    {"architecture": "shufflenet_v2_x0_5"},
)
"""The backbones of G-VBSM's code for CIFAR."""
_TEACHER = "The teacher (evaluation.teachers) is of the cell's network, and trained as the protocol `paper` trains."


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A named evaluation protocol.

    Attributes:
        title: what it is called in documents.
        evaluation: keys of ``evaluation`` that differ from the defaults.
        by_data: further ones for a data set and IPC.
        preset_length: preset -> steps, or epochs where the protocol counts these, that a preset leaves of it at most, where a
            network that is trained for the preset's own number of epochs would have learned nothing, or not even its few
            images. In `demo` a network has at least 100 steps, and with Adam, which moves a weight by about its rate in a
            step, as many as have rates that add up to 0.1.
        missing: what it needs that is not there yet; empty: it runs.
        note: what of the published evaluation it leaves out or reads in one of several ways.
    """

    title: str
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    by_data: Callable[[DataFacts], Mapping[str, Any]] = protocol_data.nothing
    preset_length: Mapping[str, int] = field(default_factory=dict)
    missing: str = ""
    note: str = ""


_IDC = {
    "epochs": 1000,
    "batch_size": 64,
    "schedule": "multistep",
    "lr_factor": 0.2,
    "augmentations": ["idc"],
    "idc_strategy": _NO_CUTOUT,
    "mixing": "cutmix",
    "mixing_probability": 0.5,
}
_FIVE_SETS = "Published means are over sets and networks; seeds here are the networks of one set."

PROTOCOLS: Mapping[str, Protocol] = {
    "paper": Protocol(title="DC, DM, IDM, BACON: P-DSA, the default"),
    "dc-bench": Protocol(
        title="DC-BENCH (Cui et al., NeurIPS 2022): the average over six augmentations",
        evaluation={
            "augmentations": ["none", "auto", "rand", "imagenet", "cifar", "dsa"],
            "epochs": 1001,
            "epochs_plain": 301,
            "snapshot_seeds": 0,
        },
    ),
    "dd-ranking": Protocol(
        title="DD-Ranking (Li et al., 2025): without and with augmentation, each with the rate that is best on validation",
        evaluation={
            "augmentations": ["none", "dsa"],
            "epochs": 300,
            "lr_search": [0.001, 0.005, 0.01, 0.05, 0.1],
            "snapshot_seeds": 0,
        },
    ),
    "p-dc": Protocol(
        title="P-DC (DC)",
        evaluation={"epochs": 301, "augmentations": ["none"], "seeds": 20},
        by_data=protocol_data.dc,
        note=f"MNIST: 1001 epochs, DC's own augmentation. {_FIVE_SETS}",
    ),
    "p-dsa": Protocol(title="P-DSA (DSA, DM, IDM, IID, BACON)", note="The same as `paper`."),
    "p-dam": Protocol(
        title="P-DAM (DataDAM)",
        evaluation={"epochs": 1801, "batch_size": 64},
        note="Published: the best on test, of ConvNets with batch norm; networks are a setting of their own.",
    ),
    "p-mtt": Protocol(
        title="P-MTT (MTT)",
        evaluation={"lr": "learned"},
        note="Published: the best on test. Test images are whitened where the cell's are (preprocessing.zca).",
    ),
    "p-datm": Protocol(
        title="P-DATM (DATM)",
        evaluation={"lr": "learned", "batch_size": 128, "labels": "stored"},
        note="Test images are whitened where the cell's are (preprocessing.zca): in every published cell.",
    ),
    "p-idc": Protocol(
        title="P-IDC (IDC, DREAM)",
        evaluation=_IDC,
        by_data=protocol_data.idc,
        note="Images from 128 pixels on: epochs by training images per class, CutMix on every batch; published with the usual "
        "augmentation of ImageNet instead of IDC's list. SVHN is not mirrored. The code's exceptions for MNIST with factor 2 "
        "and SVHN with IPC 1 and factor 1 (no CutMix) are left to the configuration.",
    ),
    "p-dance": Protocol(
        title="P-DANCE (DANCE)",
        evaluation={**_IDC, "epochs": 1500},
        by_data=protocol_data.dance,
        note="Published: the best set on test.",
    ),
    "p-ncfm": Protocol(
        title="P-NCFM (NCFM)",
        evaluation={
            **_IDC,
            "epochs": 2000,
            "batch_size": 128,
            "optimiser": "adamw",
            "lr_net": 0.001,
            "weight_decay": 0.01,
            "lr_factor": 0.5,
            "lr_milestones": [0.2, 0.4, 0.6, 0.8],
            "seeds": 10,
        },
        by_data=protocol_data.ncfm,
        preset_length={"demo": 300},
        note="TinyImageNet: 300 (IPC 10) and 40 (IPC 50) epochs. Hard labels. Published: each network's best epoch on test.",
    ),
    "p-cafe": Protocol(
        title="P-CAFE (CAFE)",
        evaluation={"epochs": 601, "augmentations": ["none"]},
        by_data=protocol_data.dc,
        note="MNIST: as P-DC.",
    ),
    "p-cafe-dsa": Protocol(title="P-CAFE+DSA (CAFE+DSA)", note="The same as P-DSA."),
    "p-sre2l": Protocol(
        title="P-SRe2L (SRe2L)",
        evaluation={
            "epochs": 400,
            "batch_size": 128,
            "optimiser": "adamw",
            "lr_net": 0.001,
            "weight_decay": 0.01,
            "schedule": "cosine",
            "augmentations": ["crop_flip"],
            "mixing": "mixup",
            "mixing_alpha": 0.8,
            "labels": "teacher",
            "loss": [{"kind": "kl", "temperature": 30.0}],
        },
        by_data=protocol_data.sre2l,
        preset_length={"demo": 400},
        note=f"{_TEACHER} Published: ResNet-18.",
    ),
    "p-sre2l-plus": Protocol(
        title="P-SRe2L++ (SRe2L++)",
        evaluation={
            "epochs": 300,
            "batch_size": 16,
            "optimiser": "adamw",
            "lr_net": 0.001,
            "weight_decay": 0.01,
            "schedule": "cosine",
            "augmentations": ["random_resized_crop"],
            "mixing": "cutmix",
            "labels": "teacher",
            "loss": [{"kind": "kl", "temperature": 20.0}],
        },
        by_data=protocol_data.sre2l_plus,
        preset_length={"demo": 300},
        note=f"{_TEACHER} Batches of the program's default, 16; its scripts read theirs from a file that is not published. "
        "CIFAR-100 with IPC 10 and TinyImageNet without: half a cosine. Published: ResNet-18, the best on test.",
    ),
    "p-rded": Protocol(
        title="P-RDED (RDED)",
        evaluation={
            "epochs": 300,
            "optimiser": "adamw",
            "lr_net": 0.001,
            "weight_decay": 0.01,
            "schedule": "half_cosine",
            "augmentations": ["random_resized_crop"],
            "resized_crop_scale": [1.0, 1.0],
            "mixing": "cutmix",
            "labels": "teacher",
            "loss": [{"kind": "kl", "temperature": 20.0}],
        },
        by_data=protocol_data.rded,
        preset_length={"demo": 300},
        note=f"{_TEACHER} CIFAR-100 with the 3-layer ConvNet: lr_net 0.002, batch 25. Published: the best on test of the last "
        "epochs.",
    ),
    "p-gvbsm": Protocol(
        title="P-GVBSM (G-VBSM)",
        evaluation={
            "epochs": 1000,
            "batch_size": 100,
            "optimiser": "adamw",
            "lr_net": 0.001,
            "weight_decay": 0.0,
            "schedule": "cosine",
            "augmentations": ["random_resized_crop"],
            "mixing": "cutmix",
            "labels": "teacher",
            "teachers": {"networks": [dict(network) for network in FIVE_NETWORKS]},
            "loss": [{"kind": "mse"}, {"kind": "ce", "weight": 0.15}],
        },
        by_data=protocol_data.gvbsm,
        preset_length={"demo": 400},
        note="Five teachers of five architectures (evaluation.teachers), whose logits are averaged as they are: the published "
        "code has the scaling to equal norms (teacher_norms: equal) in a comment. CIFAR-100 and TinyImageNet: SGD. Published: "
        "the best on test.",
    ),
    "p-frepo": Protocol(
        title="P-FRePo (FRePo)",
        evaluation={
            "batch_size": 500,
            "order": "stored",
            "optimiser": "adam",
            "lr_net": 3e-4,
            "weight_decay": 0.0,
            "schedule": "warmup_cosine",
            "lr_warmup": 500,
            "lr_factor": 0.01,
            "augmentations": ["frepo"],
            "labels": "stored",
            "loss": [{"kind": "mse"}],
        },
        by_data=protocol_data.frepo,
        preset_length={"demo": 2000},
        note="Steps by the number of images: 1000 (10), 2000 (100), 5000 (500), 10000 (1000), 40000 (2000 and more), and 20000 "
        "(200). FRePo's network is wider. Test images are whitened where the cell's are (preprocessing.zca).",
    ),
    "p-dd": Protocol(
        title="P-DD (DD)",
        evaluation={
            "steps": 30,
            "order": "one_per_class",
            "lr": "learned",
            "schedule": "constant",
            "momentum": 0.0,
            "weight_decay": 0.0,
            "augmentations": ["none"],
            "seeds": 200,
        },
        note="As many steps as the set has learned rates; 30 at lr_net for sets without. Published: Xavier's initialisation.",
    ),
    "p-ld": Protocol(
        title="P-LD (LD)",
        evaluation={
            "optimiser": "adam",
            "lr": "learned",
            "lr_net": 0.001,
            "weight_decay": 0.0,
            "schedule": "constant",
            "augmentations": ["none"],
            "labels": "stored",
            "seeds": 20,
        },
        by_data=protocol_data.ld,
        note="As many steps as the set has learned rates, which LD repeats for the number of steps that it learned; 1001 "
        "epochs at lr_net for sets without.",
    ),
    "p-kip": Protocol(
        title="P-KIP (KIP, LS)",
        evaluation={
            "regression": "ntk",
            "augmentations": ["none"],
            "labels": "stored",
            "seeds": 1,
        },
        note="No network is trained; the full data set alone is a network. A set that was made with another kernel than the "
        "default one wants that one: regression, regression_depth, regression_bias_std.",
    ),
    "p-kipnn": Protocol(
        title="P-KIPNN (KIP to NN)",
        evaluation={
            "steps": 5000,
            "batch_size": 100,
            "lr": "ntk",
            "lr_net": 1.0,
            "schedule": "cosine",
            "weight_decay": 1e-3,
            "augmentations": ["none"],
            "labels": "stored",
            "loss": [{"kind": "mse", "weight": 0.5}],
        },
        note="Published: factor of the rate and weight decay by a grid search on held-out images (lr_search does the former), "
        "a ConvNet of 1024 channels (kip_convnet), images divided by their norm and whitened.",
    ),
}
"""Name -> protocol."""
