"""Distilled sets for DD-Ranking (Li et al., 2025; ``ddranking`` 0.2.0): tensors and a configuration that its evaluators take.

``images.pt``, ``labels.pt`` and ``lr.pt`` are what its ``compute_metrics`` is given, ``config.yaml`` is for
``ddranking.config.Config.from_file``. docs/evaluation.md, DD-Ranking and DC-BENCH, says what of the package works.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from bacon.interchange.benchmark_data import (
    CIFAR10_MOMENTS,
    IMAGENET_MOMENTS,
    BenchmarkData,
    benchmark_data,
    normalised_for,
)
from bacon.interchange.content import Export

# CIFAR-100 is normalised with the moments of CIFAR-10.
DATA: Mapping[str, BenchmarkData] = {
    "cifar10": BenchmarkData(name="CIFAR10", classes=10, size=32, moments=CIFAR10_MOMENTS),
    "cifar100": BenchmarkData(name="CIFAR100", classes=100, size=32, moments=CIFAR10_MOMENTS),
    "tinyimagenet": BenchmarkData(name="TinyImageNet", classes=200, size=64, moments=IMAGENET_MOMENTS),
}
# Those whose training on the real set DD-Ranking has settings for.
_MODELS = {"CIFAR10": "ConvNet-3", "CIFAR100": "ConvNet-3", "TinyImageNet": "ConvNet-4-BN"}
_EPSILON = 0.1  # of its whitening
# The names of the parameters in its code; those in its manual are others.
_DSA = {
    "flip": 0.5,
    "rotate": 15.0,
    "saturation": 2.0,
    "brightness": 1.0,
    "contrast": 0.5,
    "scale": 1.2,
    "crop": 0.125,
    "cutout": 0.5,
}
_PROGRAM = """\
import torch
from ddranking.config import Config
from ddranking.metrics import {evaluator}

evaluator = {evaluator}(Config.from_file("config.yaml"))
evaluator.compute_metrics({arguments})
"""


def write_dd_ranking(export: Export, folder: Path) -> None:
    """Write a set below an empty ``folder``; not atomic by itself.

    Args:
        export: decoded; of CIFAR-10, CIFAR-100 or TinyImageNet.
        folder: gets ``images.pt`` (N, 3, H, W) float32, normalised or whitened as DD-Ranking does with real images;
            ``labels.pt``, the classes (N,) int64, or where the set has soft labels logits (N, K) float32, with ``classes.pt``
            beside; ``lr.pt``, a scalar, where one learning rate was learned; ``config.yaml`` and ``README.md``.

    Raises:
        BaconError: DD-Ranking does not have the data set as it is in the export.
    """
    data = benchmark_data(export, DATA, "DD-Ranking")
    synthetic, whitened = export.synthetic, _whitens_alike(export)
    images = synthetic.images if whitened else normalised_for(export, data)
    tensors = {"images": images.contiguous(), "labels": _labels(export)}
    if synthetic.soft is not None:
        tensors["classes"] = synthetic.classes
    if synthetic.rates is not None and len(synthetic.rates) == 1:
        tensors["lr"] = synthetic.rates[0].clone()
    for name, tensor in tensors.items():
        torch.save(tensor, folder / f"{name}.pt")
    config = dd_ranking_config(data, ipc=int(export.metadata["ipc"]), whitened=whitened)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    (folder / "README.md").write_text(_readme(export, "lr" in tensors, whitened), encoding="utf-8")


def dd_ranking_config(data: BenchmarkData, *, ipc: int, whitened: bool) -> dict[str, Any]:
    """What DD-Ranking's three evaluators read from a file: the data set, and how its demonstrations train.

    Args:
        data: the data set.
        ipc: stored images per class, as many as it draws at random for comparison.
        whitened: whether real images are whitened.
    """
    model = _MODELS[data.name]
    return {
        "dataset": data.name,
        "real_data_path": "./dataset/",
        "ipc": ipc,
        "im_size": [data.size, data.size],
        "use_zca": whitened,
        "model_name": model,
        "data_aug_func": "dsa",
        "aug_params": dict(_DSA),
        "use_aug_for_hard": False,
        "label_type": "hard",
        "soft_label_mode": "S",
        "soft_label_criterion": "sce",
        "loss_fn_kwargs": {"temperature": 1.0, "scale_loss": False},
        "optimizer": "sgd",
        "lr_scheduler": "step",
        "step_size": 500,
        "weight_decay": 0.0005,
        "momentum": 0.9,
        "num_epochs": 1000,
        "num_eval": 5,
        "batch_size": 256,
        "real_batch_size": 256,
        "syn_batch_size": 256,
        "num_workers": 4,
        "stu_use_torchvision": False,
        "tea_use_torchvision": False,
        "use_torchvision": False,
        "custom_train_trans": None,
        "custom_val_trans": None,
        "teacher_dir": "./teacher_models",
        "teacher_model_names": [model],
        "random_data_format": "tensor",
        "random_data_path": None,
        "eval_full_data": True,
        "save_path": "./results/scores.csv",
        "device": "cuda",
        "dist": False,
    }


def _whitens_alike(export: Export) -> bool:
    """Whether DD-Ranking's whitening of real images is the one that the set was distilled with."""
    return export.whitening is not None and math.isclose(export.whitening.epsilon, _EPSILON)


def _labels(export: Export) -> Tensor:
    """Classes, or logits: DD-Ranking takes the softmax of what it is given."""
    synthetic = export.synthetic
    if synthetic.soft is None:
        return synthetic.classes
    if synthetic.soft_kind == "logits":
        return synthetic.soft
    # Of a probability 0 the smallest number, whose softmax is 0 as well: -inf would make the loss mse_gt infinite.
    return synthetic.soft.clamp_min(torch.finfo(torch.float32).tiny).log()


def _readme(export: Export, has_rate: bool, whitened: bool) -> str:
    soft = export.synthetic.soft is not None
    given = {
        "image_tensor": "images",
        "soft_labels" if soft else "hard_labels": "labels",
        **({"syn_lr": "lr"} if has_rate else {}),
    }
    program = _PROGRAM.format(
        evaluator=f"LabelRobustScore{'Soft' if soft else 'Hard'}",
        arguments=", ".join(f'{name}=torch.load("{file}.pt")' for name, file in given.items()),
    )
    listed = "\n".join(f"- {note}" for note in _notes(export, has_rate, whitened))
    return f"# {export.name} for DD-Ranking 0.2.0\n\n```python\n{program}```\n\n{listed}\n"


def _notes(export: Export, has_rate: bool, whitened: bool) -> Iterator[str]:
    """What a user has to know of the tensors, and of the version that they are for."""
    synthetic, ipc = export.synthetic, int(export.metadata["ipc"])
    yield f"Images are {'whitened' if whitened else 'normalised'} as DD-Ranking does with the real images."
    if export.whitening is not None and not whitened:
        yield "They were distilled whitened with another epsilon than DD-Ranking's: networks are trained with their pixels."
    if synthetic.soft is not None:
        yield "`labels.pt` holds logits, of which DD-Ranking takes the softmax; `classes.pt` holds the classes."
    per_class = len(synthetic.images) // len(export.metadata["class_names"])
    if per_class != ipc:
        yield (
            f"{per_class} training images of a class are stored in {ipc}, the number of random images that they are compared "
            "with. Only LabelRobustScoreHard takes so many: give it the classes as `hard_labels`."
        )
    if synthetic.rates is not None and not has_rate:
        yield "A learning rate was learned for every step; DD-Ranking takes one, so there is no `lr.pt`."
    yield (
        "Version 0.2.0 computes its scores from percentages, where its formula means fractions: compute them from the "
        "accuracies that it prints (`bacon.evaluation.scores`)."
    )
