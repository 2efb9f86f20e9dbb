"""A short float64 run of each method that iterates on the toy data set, reduced to a few numbers per class.

``python -m tests.golden.distillation`` writes the numbers of every registered method. Those of a method that was
there must not change.
"""

import json
from pathlib import Path

import torch

from bacon.distillation.real_images import RealImages
from bacon.methods.base import no_needs
from bacon.methods.registry import METHODS as REGISTERED
from bacon.methods.registry import OWN
from bacon.runtime.progress import Progress
from bacon.settings.distillation import IterativeSettings, MatchingSettings
from bacon.settings.network import NetworkSettings
from tests.distillation.conftest import toy_dataset
from tests.distillation.engines import make_engine, settings
from tests.methods.test_contract import merged

FILE = Path(__file__).with_suffix(".json")
METHODS = tuple(
    method.name for method in OWN if method.settings_model and issubclass(method.settings_model, IterativeSettings)
)


def short_settings(method):
    """Six iterations of a matching method, the scale ``smoke`` of any other and of one that needs trained networks."""
    record = REGISTERED[method]
    if issubclass(record.settings_model, MatchingSettings) and record.needs is no_needs:
        return settings(method)
    layers = (record.settings.get("distillation", {}), record.scales["smoke"]["distillation"])
    return record.settings_model.model_validate(merged(*layers))


def short_run(method):
    """Numbers of a short run: final mean and sd per class, a few pixels, and the last loss terms."""
    real = RealImages(toy_dataset(), device=torch.device("cpu"), dtype=torch.float64)
    engine = make_engine(real, short_settings(method), NetworkSettings(width=6, depth=2), ipc=2, seed=11)
    with Progress("golden", engine.algorithm.iterations) as progress:
        engine.run(progress)
    stored = engine.algorithm.synthetic().images  # float32; a matching method has them in float64 too
    images = getattr(engine.algorithm, "images", stored).unflatten(0, (3, 2)).flatten(1)
    return {
        "mean": images.mean(1).tolist(),
        "sd": images.std(1).tolist(),
        "pixels": images[:, ::37].flatten().tolist(),
        "terms": {name: float(values[-1]) for name, values in engine.history.arrays().items()},
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps({method: short_run(method) for method in METHODS}, indent=1) + "\n")
