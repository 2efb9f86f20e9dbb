"""A made-up grid of many methods with every kind of cost, as the collecting functions give it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from bacon.reporting.collect.costs import with_prior

NAMES = [f"m{place}" for place in range(25)]


def made_up(
    methods: int = 25, *, seeds: int = 3, networks: int = 2, energy: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(Rows of ``collect_accuracy``, of ``collect_cost``): dearer methods are mostly better, every third needs networks."""
    draw = np.random.default_rng(0)
    accuracy, cost = [], []
    for place, name in enumerate(NAMES[:methods]):
        time = 10 ** draw.uniform(0, 4.3)
        base = 30 + 8 * np.log10(time) + draw.normal(0, 5)
        need = {"seconds": [400.0] * 10, "joules": [60000.0] * 10, "shares": [1.0] * 10}
        trainings = {} if place % 3 else {("of all" if place % 2 else name): need}
        shared = {"dataset": "d", "dataset_title": "D", "method": name, "method_title": name.upper(), "ipc": 10}
        for seed in range(seeds):
            own, shift = shared | {"seed": seed}, draw.normal(0, 0.8)
            cost.append(own | _cost(time, trainings, place, seed, energy=energy, draw=draw))
            accuracy += [own | _network(base + shift + draw.normal(0, 0.5), place, one) for one in range(networks)]
    table = pd.DataFrame(accuracy).assign(n=seeds * networks).astype({"ipc": "Int64", "seed": "Int64"})
    return table, with_prior(pd.DataFrame(cost))


def _cost(time, trainings, place, seed, *, energy, draw):
    return {
        "iterations": 1000,
        "wall_seconds": time * draw.uniform(0.95, 1.05),
        "iterations_per_second": 1000 / time,
        "peak_memory_mib": 400 + 2000 * draw.random(),
        "energy_joules": 180 * time if energy else np.nan,
        "energy_share": 0.5 if place == 4 else 0.98 if energy else np.nan,
        "energy_source": "NVML" if energy else "",
        "trainings": json.dumps(trainings),
        "image_bytes": 1228800,
        "label_bytes": 4000 * (place % 4 == 0),
        "decoder_bytes": 0,
        "device": "GPU (test)",
        "fingerprint": f"{place} {seed}",
    }


def _network(percent, place, evaluation_seed):
    return {
        "evaluation_seed": evaluation_seed,
        "network": "convnet",
        "iteration": 1000,
        "final": True,
        "test_accuracy_percent": percent,
        "protocol": "1000 epochs",
        "network_text": "ConvNet-3",
        "wall_seconds": 30.0,
        "evaluation_steps": 1000.0 * (1 + place % 2),
        "evaluation_images": 100000.0 * (1 + place % 2),
        "teacher_bytes": 1280040 * (place % 5 == 0),
        "view_label_bytes": 0,
        "published_method": None,
        "published_dataset": None,
    }
