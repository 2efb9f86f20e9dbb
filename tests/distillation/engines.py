"""Engines of the registered methods on small data, for the tests."""

from bacon.distillation.algorithm import Context, load_algorithm
from bacon.distillation.chunks import MemoryLimit
from bacon.distillation.engine import Engine
from bacon.methods.registry import METHODS
from bacon.settings.cells import Cell
from bacon.settings.network import NetworkSettings
from tests.methods.trained import DrawnRuns, inputs_of

NETWORK = NetworkSettings(width=6, depth=2)
QUEUE = {
    "start": 2,
    "capacity": 3,
    "net_generate_interval": 2,
    "model_train_steps": 2,
    "batch_train": 12,
    "meter_interval": 3,
}


def settings(method, **changes):
    """Settings of a matching method, shortened; nested changes are merged."""
    layer = METHODS[method].settings.get("distillation", {})
    networks = layer.get("networks", {}) | (QUEUE if layer.get("networks", {}).get("source") == "queue" else {})
    own = {"networks": networks} if networks else {}
    base = layer | own | {"iterations": 6, "snapshot_interval": 2, "batch_real": 12}
    for key, value in changes.items():
        base[key] = base[key] | value if isinstance(value, dict) else value
    return METHODS[method].settings_model.model_validate(base)


def method_of(chosen):
    """The name of the method that settings are of."""
    return next(name for name, method in METHODS.items() if method.settings_model is type(chosen))


def make_engine(real, chosen, network=NETWORK, *, ipc, seed, chunk_images=2048, snapshots=None):
    """An engine of the method that the settings are of."""
    method = method_of(chosen)
    context = Context(
        cell=Cell("toy", method, ipc, seed),
        real=real,
        network=network,
        memory=MemoryLimit(chunk_images),
        inputs=inputs_of(METHODS[method], chosen, network, runs=DrawnRuns),
    )
    algorithm = load_algorithm(METHODS[method].algorithm, chosen, context)
    return Engine(algorithm, device=real.device, keep=chosen.snapshot_iterations(), snapshots=snapshots)
