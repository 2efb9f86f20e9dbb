"""What every registered method keeps to, whatever it computes; the example of docs/add-a-method.md too.

Where there is a GPU, on that too; what a training need asks for is trained on the CPU, as it comes from files in a job.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from importlib import import_module

import pytest
import torch

from bacon.config.layering import resolve
from bacon.config.loading import check_config
from bacon.config.presets import PRESETS
from bacon.config.sections import has_key
from bacon.config.setting_errors import flatten
from bacon.datasets.registry import REGISTRY
from bacon.distillation.algorithm import Context, load_algorithm
from bacon.distillation.chunks import MemoryLimit
from bacon.distillation.engine import Engine
from bacon.distillation.real_images import RealImages
from bacon.methods.base import CellSize
from bacon.methods.registry import METHODS
from bacon.runtime.devices import set_up_arithmetic
from bacon.runtime.progress import Progress
from bacon.settings.cell_settings import CellSettings
from bacon.settings.cells import Cell
from bacon.settings.network import NetworkSettings
from tests.distillation.conftest import toy_dataset
from tests.distillation.naive import NaiveLoop
from tests.distillation.naive_gradients import NaiveGradientMatching
from tests.methods import example
from tests.methods.naive_cafe import NaiveCafe
from tests.methods.naive_calibrated import NaiveDance, NaiveNCFM
from tests.methods.naive_dd import NaiveDD
from tests.methods.naive_idc import NaiveIDC
from tests.methods.naive_iid import NaiveDmIid, NaiveIdmIid
from tests.methods.naive_kernels import NaiveFRePo, NaiveKIP
from tests.methods.naive_recovery import NaiveGVBSM, NaiveSRe2L
from tests.methods.naive_trajectories import NaiveDATM, NaiveTrajectories
from tests.methods.test_datadam import NaiveDataDAM
from tests.methods.trained import inputs_of

CPU, GPU = torch.device("cpu"), torch.device("cuda")
ON_A_GPU = (pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))
NETWORK = NetworkSettings(width=6, depth=2)
ITERATIONS = 6
ALL = (*METHODS.values(), example.record())
DISTILLED = tuple(method for method in ALL if method.is_distilled)
ORACLES = {
    "dm": (NaiveLoop, {}),
    "idm": (NaiveLoop, {}),
    "bacon": (NaiveLoop, {}),
    "dance": (NaiveDance, {"batch_synthetic": 5}),
    "ncfm": (NaiveNCFM, {"lr_img": 0.02, "patience": 1}),
    "ncfm sgd": (NaiveNCFM, {"optimiser": "sgd"}),
    "ncfm network": (NaiveNCFM, {"sampling": "network", "sampling_width": 16, "frequencies": 128, "lr_img": 0.02}),
    "dm_iid": (NaiveDmIid, {}),
    "idm_iid": (NaiveIdmIid, {"weights": "code"}),
    "mtt": (NaiveTrajectories, {}),
    "datm": (NaiveDATM, {}),
    "dd": (NaiveDD, {}),
    "dc": (NaiveGradientMatching, {}),
    "dsa": (NaiveGradientMatching, {}),
    "dcc": (NaiveGradientMatching, {}),
    "dsac": (NaiveGradientMatching, {}),
    "idc": (NaiveIDC, {"batch_synthetic": 5, "lr_img": 5.0}),
    "idc absolute": (NaiveIDC, {"distance": "absolute", "matched": "weights", "partition": 1, "inner": 1}),
    "idc plain": (NaiveIDC, {"networks": {"idc_strategy": "flip_color_rotate", "cutmix": 0.0}, "iterations": 2}),
    "dream": (NaiveIDC, {"refresh": 2, "inner": 3, "batch_real": 5, "lr_img": 5.0}),
    "cafe": (NaiveCafe, {"max_outer": 4, "max_epochs": 3}),
    "cafe clean": (NaiveCafe, {"accuracy": "clean", "init": "real"}),
    "cafe_dsa": (NaiveCafe, {"batch_train": 4}),
    "kip": (NaiveKIP, {}),
    "kip labels": (NaiveKIP, {"learn_labels": True, "depth": 2, "bias_std": 0.5}),
    "kip nngp": (NaiveKIP, {"kernel": "nngp", "init": "noise"}),
    "kip features": (NaiveKIP, {"kernel": "features", "learn_labels": True}),
    "frepo": (NaiveFRePo, {}),
    "frepo plain": (NaiveFRePo, {"mirrored": False, "cell_network": True, "learn_labels": False, "networks": 1}),
    "datadam": (NaiveDataDAM, {}),
    "sre2l": (NaiveSRe2L, {"view": {"shift": [-2, 2], "crop": "resized", "flip": True}, "lr_img": 0.1}),
    "sre2l priors": (NaiveSRe2L, {"batch_images": 2, "tv_weight": 1e-2, "l2_weight": 1e-2, "init": "real"}),
    "sre2l padded": (NaiveSRe2L, {"view": {"crop": "padded", "flip": True}, "statistics_weight": 1.0}),
    "gvbsm": (NaiveGVBSM, {"batch_images": 4}),
    "gvbsm convolutions": (
        NaiveGVBSM,
        {"conv_drop": 0.8, "teachers": {"networks": [{"architecture": "convnet", "width": 6, "depth": 2}]}},
    ),
    "gvbsm whole": (NaiveGVBSM, {"conv_drop": 0.0, "momentum": 0.0, "statistics_images": None, "lr_img": 0.1}),
    "datadam paper": (NaiveDataDAM, {"exponent": 4, "norm": "instance", "init": "noise"}),
}
"""Method, and perhaps a name of its settings -> published-style loop that shares no code with it, and what is set."""

every_record = pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
every_method = pytest.mark.parametrize("method", DISTILLED, ids=lambda method: method.name)


def on_devices(name=None, values=(None,), *, on_a_gpu=None, long=False):
    """A test for each device, and for each value of the parameter ``name``; ``on_a_gpu`` are those on a GPU, by default all.

    Marked ``long`` there are tests of what other tests of a GPU would show too.
    """
    marks = (*ON_A_GPU, pytest.mark.long) if long else ON_A_GPU
    chosen = [(CPU, value, ()) for value in values]
    chosen += [(GPU, value, marks) for value in (values if on_a_gpu is None else on_a_gpu)]
    names = ("device",) if name is None else ("device", name)
    cases = [pytest.param(*(device, value)[: len(names)], marks=marks) for device, value, marks in chosen]
    return pytest.mark.parametrize(names, cases, indirect=["device"], ids=_id)


def _id(value):
    return str(value) if isinstance(value, torch.device) else getattr(value, "__name__", None)


@pytest.fixture
def device(request):
    """Where a test computes; on a GPU in the arithmetic of a job, so that two runs have the same bits."""
    if request.param == GPU:
        set_up_arithmetic(torch.get_num_threads())
    yield request.param
    if request.param == GPU:
        torch.set_deterministic_debug_mode("default")


def merged(*layers):
    """The later layers over the earlier ones, key by key."""
    result = {}
    for layer in layers:
        for key, value in layer.items():
            inner = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if inner else value
    return result


def small(method, **changes):
    """Settings of a method at the size of the preset ``smoke``, with a few iterations."""
    layers = (method.scales.get("smoke", {}), method.settings)
    iterations = {"iterations": ITERATIONS} if "iterations" in method.settings_model.model_fields else {}
    values = merged(*(layer.get("distillation", {}) for layer in layers), iterations, changes)
    return method.settings_model.model_validate(values)


def engine_of(
    method, settings=None, *, dataset=None, dtype=torch.float32, ipc=2, seed=3, chunk_images=2048, device=CPU
):
    settings = small(method) if settings is None else settings
    real = RealImages(toy_dataset() if dataset is None else dataset, device=device, dtype=dtype)
    context = Context(
        cell=Cell("toy", method.name, ipc, seed),
        real=real,
        network=NETWORK,
        memory=MemoryLimit(chunk_images),
        inputs=inputs_of(method, settings, NETWORK, dataset),
    )
    algorithm = load_algorithm(method.algorithm, settings, context)
    return Engine(algorithm, device=device, keep=settings.snapshot_iterations())


def finished(method, *arguments, **keywords):
    """An engine after its last iteration."""
    engine = engine_of(method, *arguments, **keywords)
    run(engine)
    return engine


def run(engine, iterations=None):
    if iterations is None:
        with Progress("contract", engine.algorithm.iterations) as progress:
            engine.run(progress)
    else:
        engine._snapshot()
        for _ in range(iterations):
            engine.step()
            engine._snapshot()


def assert_same(one, two):
    assert one.synthetic().equals(two.synthetic())
    assert one.snapshots.keys() == two.snapshots.keys()
    assert all(one.snapshots[key].equals(two.snapshots[key]) for key in one.snapshots)
    assert torch.equal(one.history.values, two.history.values)


@every_record
def test_a_record_says_what_it_is(method):
    assert re.fullmatch(r"[a-z][a-z0-9_-]*", method.name)
    assert all(text.strip() for text in (method.title, method.reference))
    assert method.summary.endswith(".")
    assert (method.settings_model is None) == (method.algorithm is None)
    if method.settings_model is not None:
        fields = method.settings_model.model_fields
        assert all(field.description for field in fields.values()), "the reference page prints it"
    assert check_config({"protocol": method.protocol, "grid": {"seeds": 1}}).protocol == method.protocol


def test_records_are_read_without_torch():
    """The workflow reads them while it parses."""
    code = "import bacon.methods.registry, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", METHODS)
def test_resolved_settings_come_back_from_json(name):
    config = check_config({"grid": {"seeds": 1, "ipc": [1]}})
    cell = Cell("digits", name, 1, 0) if METHODS[name].is_distilled else Cell("digits", name)
    settings = resolve(config, cell).settings
    plain = settings.model_dump(mode="json", by_alias=True)
    model = METHODS[name].settings_model
    again = CellSettings(
        network=settings.network.model_validate_json(settings.network.model_dump_json(by_alias=True)),
        evaluation=settings.evaluation.model_validate_json(settings.evaluation.model_dump_json(by_alias=True)),
        distillation=None if model is None else model.model_validate(plain["distillation"]),
    )
    assert again == settings
    assert again.model_dump(mode="json", by_alias=True) == plain


@every_record
def test_scales_and_published_settings_are_settings_that_it_has(method):
    assert method.scales.keys() <= PRESETS.keys()
    assert {dataset for dataset, _ in method.published} <= REGISTRY.keys()
    for layer in (method.settings, *method.scales.values(), *method.published.values()):
        whole = dict(flatten(merged(method.settings, layer)))
        for key in dict(flatten(layer)):
            assert key[0] in CellSettings.model_fields
            if key[0] == "distillation":
                assert has_key(method.settings_model, key[1:], whole, key[:1]), key
        if method.settings_model is not None:
            method.settings_model.model_validate(merged(method.settings, layer).get("distillation", {}))


@every_method
def test_a_method_that_iterates_says_how_the_small_presets_scale_it(method):
    count = small(method).iteration_count()
    if count:
        assert {"smoke", "demo"} <= method.scales.keys()
        smoke = merged(method.scales["smoke"]["distillation"], method.settings.get("distillation", {}))
        assert method.settings_model.model_validate(smoke).iteration_count() <= 20


@every_method
def test_costs_and_needs_follow_from_the_settings(method):
    settings = small(method)
    work = method.cost(settings, CellSize(ipc=2, classes=3, train=42))
    assert work.iterations == max(settings.iteration_count(), 1)
    assert sum(passes.images * passes.count for passes in work.passes) > 0
    needs = method.needs(CellSettings(network=NETWORK, distillation=settings))
    assert len({need.name for need in needs}) == len(needs)


@every_method
def test_an_algorithm_is_what_its_settings_say(method):
    settings, algorithm = small(method), engine_of(method).algorithm
    assert algorithm.iterations == settings.iteration_count()
    assert len(set(algorithm.terms)) == len(algorithm.terms)
    assert bool(algorithm.terms) == bool(algorithm.iterations)
    assert method.modules == (import_module(method.algorithm.partition(":")[0]).__name__,)


@every_method
@on_devices("ipc", [1, 2], on_a_gpu=[1], long=True)
def test_the_synthetic_set_is_valid(method, ipc, device):
    engine = finished(method, ipc=ipc, device=device)
    synthetic = engine.synthetic()
    assert synthetic.images.shape == (3 * ipc, 2, 8, 8)
    assert synthetic.images.isfinite().all()
    assert synthetic.classes.tolist() == [label for label in range(3) for _ in range(ipc)]
    assert len(synthetic.decoded()) == 3 * ipc * small(method).parts()
    assert list(engine.snapshots) == list(small(method).snapshot_iterations())
    assert engine.history.values.isfinite().all()
    assert engine.history.values.shape == (engine.algorithm.iterations, len(engine.algorithm.terms))


@every_method
@on_devices("at", [0, 1, 3, 5], on_a_gpu=[3])
def test_a_run_that_goes_on_from_its_state_ends_with_the_same_bits(method, at, device):
    whole, first = finished(method, device=device), engine_of(method, device=device)
    run(first, min(at, first.algorithm.iterations))
    file = io.BytesIO()
    snapshots = first.snapshots
    torch.save(first.state_dict() | {"snapshots": None}, file)
    file.seek(0)
    rest = engine_of(method, device=device)
    kept = torch.load(file, map_location=device, weights_only=True)  # as a job loads it
    rest.load_state_dict(kept | {"snapshots": dict(snapshots)})
    run(rest)
    assert_same(whole, rest)


@every_method
@on_devices(long=True)
def test_the_seed_decides_and_nothing_else(method, device):
    torch.manual_seed(1)
    one = finished(method, device=device)
    torch.manual_seed(2)
    torch.rand(3, device=device)
    assert_same(one, finished(method, device=device))
    other = finished(method, seed=4, device=device)
    assert not torch.equal(one.synthetic().images, other.synthetic().images)


@every_method
@on_devices("chunk_images", [1, 13, 40], on_a_gpu=[13])
def test_the_number_of_images_at_a_time_changes_nothing(method, chunk_images, device):
    one, other = (
        finished(method, dtype=torch.float64, chunk_images=size, device=device).algorithm.synthetic()
        for size in (10_000, chunk_images)
    )
    torch.testing.assert_close(one.images, other.images, rtol=0, atol=1e-6)


@every_method
def test_the_number_of_threads_changes_rounding_at_most(method):
    before, images = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            images.append(finished(method, dtype=torch.float64).algorithm.synthetic().images)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*images, rtol=0, atol=1e-6)


def constant(dataset):
    dataset.train_images[:] = 128


def black(dataset):
    dataset.train_images[:] = 0


def one_class_constant(dataset):
    dataset.train_images[dataset.train_labels == 1] = 255


def large_values(dataset):
    dataset.mean, dataset.std = (0.5, 0.5), (1e-3, 1e-3)


def large_offset(dataset):
    dataset.mean, dataset.std = (-100.0, 100.0), (0.1, 0.1)


@every_method
@on_devices(
    "change",
    [constant, black, one_class_constant, large_values, large_offset],
    on_a_gpu=[black, large_offset],
    long=True,
)
def test_extreme_images_give_finite_sets(method, change, device):
    dataset = toy_dataset()
    change(dataset)
    finished(method, dataset=dataset, device=device)  # its last check finds what is not finite


@every_method
@on_devices(long=True)
def test_a_class_of_four_images_beside_larger_ones(method, device):
    finished(method, dataset=toy_dataset(counts=(30, 4, 9)), ipc=1, device=device)


@pytest.mark.parametrize("name", ORACLES)
@on_devices()
def test_each_step_equals_the_oracles(name, device):
    """The oracle computes on the CPU; a GPU adds in another order, which iterations amplify a thousandfold at the most."""
    oracle_class, changes = ORACLES[name]
    method = METHODS[name.partition(" ")[0]]
    settings, network = small(method, **changes), NETWORK
    engine = engine_of(method, settings, dtype=torch.float64, device=device)
    start, tolerance = engine.algorithm.images.to(CPU, copy=True), 1e-9 if device == CPU else 1e-7
    real = RealImages(toy_dataset(), device=CPU, dtype=torch.float64)
    oracle = oracle_class(real, settings, network, ipc=2, seed=3, initial=start)
    for iteration in range(settings.iteration_count()):
        seen = oracle.iteration(iteration)
        torch.testing.assert_close(engine.algorithm.images.cpu(), seen, rtol=0, atol=tolerance)
        engine.step()
    assert (engine.algorithm.images.cpu() - start).abs().max() > 1e-3, "the images must have moved"
