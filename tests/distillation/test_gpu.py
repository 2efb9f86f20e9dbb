"""What only a GPU can show; each test runs wherever there is one."""

import copy

import pytest
import torch

from bacon.artifacts.checkpoint import Checkpoint, CheckpointStore
from bacon.distillation.real_images import RealImages
from bacon.methods.registry import METHODS
from bacon.runtime.devices import set_up_arithmetic
from benchmarks.cells import measured, random_dataset
from tests.distillation.conftest import toy_dataset
from tests.distillation.engines import NETWORK, make_engine, settings
from tests.distillation.test_recorded import CASES, distilled
from tests.golden.distillation import short_settings
from tests.methods.test_contract import small

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
GPU = torch.device("cuda")

FULL = NETWORK.model_copy(update={"precision": "fp32"})


@pytest.fixture(autouse=True)
def _deterministic():
    """Every test here runs as a job does by default."""
    set_up_arithmetic(torch.get_num_threads())
    yield
    torch.set_deterministic_debug_mode("default")


def after_steps(device, dtype, method, chunk=10_000):
    real = RealImages(toy_dataset(), device=device, dtype=dtype)
    engine = make_engine(real, settings(method), FULL, ipc=2, seed=3, chunk_images=chunk)
    for _ in range(4):
        engine.step()
    return engine.algorithm.images.cpu()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 5e-3)])
@pytest.mark.parametrize("method", ["bacon", "idm", "dm"])
def test_the_gpu_computes_what_the_cpu_computes(method, dtype, tolerance):
    results = [after_steps(device, dtype, method) for device in (torch.device("cpu"), GPU)]
    torch.testing.assert_close(*results, rtol=0, atol=tolerance)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("method", ["bacon", "dm"])
def test_an_iteration_never_waits_for_the_gpu(method, precision):
    real = RealImages(toy_dataset(), device=GPU)
    network = NETWORK.model_copy(update={"precision": precision})
    engine = make_engine(real, settings(method, iterations=2000), network, ipc=2, seed=3)
    assert method == "dm" or engine.algorithm.pool._is_shared, "long runs record their steps"
    for _ in range(3):  # kernels are compiled, steps are recorded
        engine.step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            engine.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    engine.check()


@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 2e-2), ("bf16", 1e-1)])
def test_lower_precision_is_near_full_precision(precision, tolerance):
    real, embeddings = RealImages(toy_dataset(), device=GPU), []
    for chosen in ("fp32", precision):
        network = NETWORK.model_copy(update={"precision": chosen})
        engine = make_engine(real, settings("bacon"), network, ipc=2, seed=3)
        embeddings.append(engine.algorithm.context.build(0).embed(engine.algorithm.images))
    exact, rounded = embeddings
    assert 0 < (rounded - exact).norm() < tolerance * exact.norm()


def bits_after(method, precision, *, overlaps, iterations=12):
    """Images, and every tensor of the queue, after some iterations that are replayed."""
    real = RealImages(toy_dataset(counts=(60, 70, 65), size=32), device=GPU)
    network = NETWORK.model_copy(update={"precision": precision, "width": 32, "depth": 3})
    queue = {"model_train_steps": 5, "batch_train": 64, "start": 3, "capacity": 4}
    engine = make_engine(real, settings(method, iterations=2000, networks=queue), network, ipc=2, seed=3)
    pool = engine.algorithm.pool
    pool.overlaps = overlaps
    for _ in range(iterations):
        engine.step()
    (matching,) = engine.algorithm.replays.recorded.values()
    assert matching.is_recorded, "see the log"
    assert pool._rounds.is_recorded, "see the log"
    members = [tensor.clone() for member in pool.members for tensor in member.network.state_dict().values()]
    return [engine.algorithm.images.clone(), engine.history.values[:iterations].clone(), *members]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["bacon", "idm"])
def test_training_beside_the_matching_gives_the_bits_of_one_after_another(method, precision):
    expected = bits_after(method, precision, overlaps=False)
    for _ in range(3):  # a race need not show at once
        for one, two in zip(expected, bits_after(method, precision, overlaps=True), strict=True):
            assert torch.equal(one, two)


def learning_engine(method, precision, *, courses):
    """IDC or DREAM, of which enough is to come for its networks to be recorded and to learn ahead."""
    real = RealImages(toy_dataset(counts=(60, 70, 65), size=32), device=GPU)
    network = NETWORK.model_copy(update={"precision": precision, "width": 32, "depth": 3})
    own = {"refresh": 3, "batch_real": 20} if method == "dream" else {}
    chosen = small(METHODS[method], iterations=2000, inner=7, networks={"images": 120, "batch": 16}, **own)
    engine = make_engine(real, chosen, network, ipc=2, seed=3)
    engine.algorithm.learning.courses = courses
    return engine


def stepped(engine, until):
    while engine.iteration < until:
        engine.step()
    return engine


def states_of(engine):
    return [engine.algorithm.images.clone(), engine.history.values[: engine.iteration].clone()]


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("method", ["idc", "dream"])
def test_networks_that_learn_beside_the_matching_give_the_bits_of_those_that_learn_in_their_turn(method, precision):
    """Also of a run that goes on from the state of one that stopped."""
    expected = states_of(stepped(learning_engine(method, precision, courses=0), 9))
    for _ in range(2):  # a race need not show at once
        part, rest = (learning_engine(method, precision, courses=None) for _ in range(2))
        rest.load_state_dict(copy.deepcopy(stepped(part, 4).state_dict()))
        for engine in (part, rest):
            for one, two in zip(expected, states_of(stepped(engine, 9)), strict=True):
                assert torch.equal(one, two)
            courses = engine.algorithm.learning._ahead._courses
            assert len(courses) == 6
            assert all(each.steps.is_recorded for course in courses for each in course._recorded.values()), (
                "see the log"
            )


def test_an_iteration_whose_networks_learn_ahead_never_waits_for_the_gpu():
    engine = stepped(learning_engine("idc", "bf16", courses=None), 8)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        stepped(engine, 16)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    engine.check()


@pytest.mark.parametrize("method", ["bacon", "dm"])
def test_replayed_iterations_are_those_that_are_launched_one_by_one(method):
    found = []
    for records in (False, True):
        real = RealImages(toy_dataset(), device=GPU, dtype=torch.float64)
        engine = make_engine(real, settings(method, iterations=2000), ipc=2, seed=3)
        engine.algorithm.replays.records = records
        for _ in range(5):
            engine.step()
        assert [each.is_recorded for each in engine.algorithm.replays.recorded.values()] == [True] * records
        found.append(engine.algorithm.images.cpu())
    torch.testing.assert_close(*found, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_every_method_that_is_recorded_gives_what_is_launched(name):
    chosen, chunk, stops_at, kinds = CASES[name]
    real = RealImages(toy_dataset(), device=GPU, dtype=torch.float64)
    computed = distilled(real, chosen, replays=False, chunk=chunk)
    replayed = distilled(real, chosen, replays=True, chunk=chunk, stops_at=stops_at, kinds=kinds)
    for one, two in zip(computed, replayed, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-9)


def test_chunks_change_no_number_on_the_gpu():
    results = [after_steps(GPU, torch.float64, "bacon", chunk=chunk) for chunk in (10_000, 13)]
    torch.testing.assert_close(*results, rtol=0, atol=1e-9)


def made(method, precision):
    """An engine whose kernels have something to sum: 16 channels, images of 16 pixels."""
    real = RealImages(toy_dataset(size=16), device=GPU)
    network = NETWORK.model_copy(update={"width": 16, "precision": precision})
    return make_engine(real, run_settings(method), network, ipc=2, seed=3)


def run_settings(method):
    """Six iterations of a method, of its scale ``smoke`` where it matches no embeddings."""
    if method in ("dm", "idm", "bacon"):
        return settings(method)
    return short_settings(method).model_copy(update={"iterations": 6})


def assert_same_state(one, other):
    assert one.synthetic().equals(other.synthetic())
    # Rows of iterations to come are not numbers, which equal nothing.
    assert torch.equal(*(each.history.values[: each.iteration] for each in (one, other)))


@pytest.mark.parametrize("precision", ["tf32", "fp32", "bf16"])
@pytest.mark.parametrize("method", ["dm", "idm", "bacon", "dsa", "frepo"])
def test_every_run_gives_the_same_bits(method, precision):
    engines = [made(method, precision) for _ in range(2)]
    for engine in engines:
        for _ in range(4):
            engine.step()
    assert_same_state(*engines)


@pytest.mark.parametrize("method", ["dm", "idm", "bacon", "dsa", "frepo"])
def test_a_run_that_stopped_goes_on_with_the_same_bits(method, tmp_path):
    """It stops after each of the first iterations, and nothing but the file of its state is left."""
    whole, store = made(method, "tf32"), CheckpointStore(folder=tmp_path, fingerprint="f" * 32)
    for _ in range(4):
        whole.step()
    for iteration in range(1, 5):
        part = made(method, "tf32")
        if (kept := store.load(GPU)) is not None:
            part.load_state_dict(kept.state)
        part.step()
        store.save(Checkpoint(iteration=iteration, seconds=1.0, state=part.state_dict()))
    assert_same_state(whole, part)


@pytest.mark.parametrize("name", ["tinyimagenet/bacon/ipc10", "cifar100/bacon/ipc50", "cifar10/bacon/ipc1"])
def test_the_papers_largest_cells_fit_16_gb(name):
    cell = measured(name)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(GPU)
    real = RealImages(random_dataset(cell.cell.dataset), device=GPU)
    engine = make_engine(real, cell.matching, cell.settings.network, ipc=cell.ipc, seed=0)
    for _ in range(2):  # the second one is recorded, and keeps its memory beside that of two networks in training
        engine.step()
    # A queue holds 100 networks at the most; each takes its weights and as much momentum.
    network = sum(parameter.numel() * 4 for parameter in engine.algorithm.context.build(0).parameters())
    assert torch.cuda.max_memory_allocated(GPU) + 2 * 100 * network <= 16e9
