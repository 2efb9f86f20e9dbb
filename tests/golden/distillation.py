"""A short float64 run of each method on the toy data set, reduced to a few numbers per class."""

import json
from pathlib import Path

import torch

from bacon.distillation.real_images import RealImages
from bacon.runtime.progress import Progress
from bacon.settings.network import NetworkSettings
from tests.distillation.conftest import toy_dataset
from tests.distillation.engines import make_engine, settings

FILE = Path(__file__).with_suffix(".json")
METHODS = ("dm", "idm", "bacon")


def short_run(method):
    """Numbers of a run of six iterations: final mean and sd per class, a few pixels, and the last loss terms."""
    real = RealImages(toy_dataset(), device=torch.device("cpu"), dtype=torch.float64)
    engine = make_engine(real, settings(method), NetworkSettings(width=6, depth=2), ipc=2, seed=11)
    with Progress("golden", 6) as progress:
        engine.run(progress)
    images = engine.algorithm.images.unflatten(0, (3, 2)).flatten(1)
    return {
        "mean": images.mean(1).tolist(),
        "sd": images.std(1).tolist(),
        "pixels": images[:, ::37].flatten().tolist(),
        "terms": {name: float(values[-1]) for name, values in engine.history.arrays().items()},
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps({method: short_run(method) for method in METHODS}, indent=1) + "\n")
