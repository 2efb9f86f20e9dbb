"""How fast this machine trains a small network: a second of measuring, from which the time of a whole run is estimated."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from bacon.networks.build import build_network
from bacon.networks.network import Network
from bacon.plan.cost import operations
from bacon.plan.machine import Machine, usable_cores, usable_memory_mb
from bacon.settings.network import NetworkSettings
from bacon.training.recipe_loss import hard_cross_entropy

_CHANNELS, _SIZE, _CLASSES = 3, 32, 10
_NETWORK = NetworkSettings(width=32, depth=3)
_BATCHES = {"cpu": (8, 64), "cuda": (64, 2048)}
_ROUNDS = 5
_STEPS = {"cpu": 3, "cuda": 10}


def measure_machine(start_seconds: float) -> Machine:
    """This machine, with the speed of a training step of ConvNet-3 with 32 channels on 32x32 colour images.

    Steps of a small and of a large batch take turns, so that other work on the machine slows both; of each, the fastest
    counts.

    Args:
        start_seconds: of a job before it computes.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device("cuda" if gpus else "cpu")
    small, large = _BATCHES[device.type]
    short, long = _step_seconds(device, small, large)
    each = operations(_NETWORK, _CHANNELS, _SIZE).training
    rate = (large - small) * each / max(long - short, 0.1 * long)
    return Machine(
        cores=usable_cores(),
        memory_mb=usable_memory_mb(),
        gpus=gpus,
        gpu_name=torch.cuda.get_device_name(0) if gpus else "",
        operations_per_second=rate,
        pass_seconds=max(short - small * each / rate, 0.0),
        start_seconds=start_seconds,
    )


def _step_seconds(device: torch.device, *batches: int) -> list[float]:
    """Fastest seconds of a training step of each batch size; one thread, as a job has, and that is put back after."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = build_network(
            _NETWORK, channels=_CHANNELS, size=_SIZE, classes=_CLASSES, seed=0, purpose="machine speed", device=device
        )
        steps = [_step(network, batch, device) for batch in batches]
        for step in steps:  # libraries set themselves up, kernels are compiled
            step()
        rounds = [[_seconds(step, device) for step in steps] for _ in range(_ROUNDS)]
        return [min(times) for times in zip(*rounds, strict=True)]
    finally:
        torch.set_num_threads(threads)


def _step(network: Network, batch: int, device: torch.device) -> Callable[[], None]:
    """A step without its optimiser: the loss of a batch of grey images and its gradient."""
    images = torch.full((batch, _CHANNELS, _SIZE, _SIZE), 0.5, device=device)
    labels = torch.arange(batch, device=device) % _CLASSES
    parameters = tuple(network.parameters())

    def step() -> None:
        torch.autograd.grad(hard_cross_entropy(network(images), labels, None, None), parameters)

    return step


def _seconds(step: Callable[[], None], device: torch.device) -> float:
    count = _STEPS[device.type]
    _wait(device)
    start = time.perf_counter()
    for _ in range(count):
        step()
    _wait(device)
    return (time.perf_counter() - start) / count


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
