"""What the cost model says is what PyTorch counts, and what it asks a scheduler for is neither nothing nor everything."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bacon.config.loading import check_config
from bacon.distillation.kept_weights import host_places
from bacon.networks.convnet import ConvNet
from bacon.operations.workflow_plan import load_plan
from bacon.plan import cost, stages
from bacon.plan.plan import Plan
from bacon.settings.cells import Cell
from bacon.settings.network import NetworkSettings
from bacon.settings.run import WAITING_WEIGHTS_BYTES

PAPER = Path(__file__).parents[2] / "config" / "paper.yaml"


@pytest.fixture(scope="module")
def paper():
    return load_plan(PAPER)


def counted(network, channels, size, kind):
    """Operations that PyTorch counts in the convolutions for two images, per image."""
    twice = kind == "matching_gradient"
    net = ConvNet(network, channels=channels, size=size, classes=10).requires_grad_(kind == "training" or twice)
    images = torch.zeros(2, channels, size, size, requires_grad=kind == "image_gradient" or twice)
    weights = [layer.weight for layer in net.features if isinstance(layer, torch.nn.Conv2d)]
    with FlopCounterMode(display=False) as counter:
        embedding = images  # layer by layer: PyTorch does not see into compiled passes
        for layer in net.features:
            embedding = layer.forward(embedding)  # not called: the counter's hooks know no derivative of a derivative
        if twice:
            found = torch.autograd.grad(embedding.square().sum(), weights, create_graph=True)
            torch.autograd.grad(sum(each.square().sum() for each in found), images)
        elif kind != "forward":
            embedding.sum().backward()
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("kind", ["forward", "training", "image_gradient", "matching_gradient"])
@pytest.mark.parametrize(
    ("changes", "channels", "size"),
    [
        ({}, 3, 32),
        ({"depth": 4, "width": 16}, 3, 64),
        ({"width": 8}, 1, 28),
        ({"depth": 2, "width": 8, "pooling": "none"}, 1, 16),
        ({"depth": 2, "width": 8, "norm": "batch", "pooling": "max"}, 1, 8),
    ],
)
def test_operations_are_those_that_pytorch_counts(changes, channels, size, kind):
    network = NetworkSettings(**changes)
    expected = counted(network, channels, size, kind)
    assert getattr(cost.operations(network, channels, size), kind) == expected


def test_a_distillation_counts_its_real_synthetic_and_queue_images(paper):
    """CIFAR-10, BACON, IPC 10, by hand: 256 real of each class, 10 x 4 synthetic of each class, queue of 256 x 20 images."""
    cell = Cell("cifar10", "bacon", 10, 0)
    matching = paper.settings(cell).distillation
    queue = matching.networks
    assert (matching.batch_real, matching.partition, queue.batch_train) == (256, 2, 256)
    trained = queue.networks_trained * queue.model_train_steps * 256
    flop = 0.1014e9 * (2560 + 2 * 400) + (3 * 0.1014e9 - 7.1e6) * trained
    assert cost.distill_seconds(paper, cell) == pytest.approx(matching.iterations * flop / cost.GPU_RATE, rel=0.01)


def test_more_work_asks_for_more_time(paper):
    def seconds(name):
        return cost.distill_seconds(paper, Cell.parse(f"{name}/seed0"))

    assert seconds("cifar10/random/ipc10") < seconds("cifar10/dm/ipc10") < seconds("cifar10/bacon/ipc10")
    assert seconds("cifar10/bacon/ipc10") < seconds("cifar10/bacon/ipc50") < seconds("cifar100/bacon/ipc50")
    assert seconds("cifar100/bacon/ipc10") < seconds("tinyimagenet/bacon/ipc10")

    def evaluating(name):
        return cost.evaluation_seconds(paper, Cell.parse(name), "convnet")

    assert evaluating("cifar10/bacon/ipc1/seed0") < evaluating("cifar10/bacon/ipc50/seed0")
    assert evaluating("cifar10/full") < evaluating("tinyimagenet/full")


def test_what_the_papers_cells_ask_for_fits_a_cluster(paper):
    """Between ten minutes and four days, and no more memory than a small node has."""
    hours = [cost.minutes(cost.distill_seconds(paper, cell)) / 60 for cell in paper.cells]
    assert min(hours) == cost.SHORTEST_MINUTES / 60
    assert 48 < max(hours) < 96
    assert all(4_000 < cost.memory_mb(paper, cell) < 16_000 for cell in paper.cells)


def test_the_digits_ask_for_little():
    plan = Plan(check_config({"grid": {"datasets": ["digits"], "methods": ["bacon"], "ipc": [1], "seeds": 1}}))
    cell = Cell("digits", "bacon", 1, 0)
    assert cost.minutes(cost.distill_seconds(plan, cell)) < 120
    assert cost.memory_mb(plan, cell) < 4_000


def test_every_further_attempt_asks_for_as_much_again(paper):
    cell = Cell("cifar10", "bacon", 10, 0)
    seconds = cost.distill_seconds(paper, cell)
    assert [cost.minutes(seconds, attempt=number) for number in (2, 3)] == [
        number * cost.minutes(seconds) for number in (2, 3)
    ]
    artifact = stages.distilled_artifact(paper, cell)
    assert stages.memory_mb(paper, artifact, attempt=3) == 3 * cost.memory_mb(paper, cell)
    assert stages.minutes(paper, artifact, attempt=2) == 2 * cost.minutes(seconds)


def test_a_cpu_is_taken_to_be_slower_than_a_gpu():
    grid = {"datasets": ["digits"], "methods": ["bacon"], "ipc": [1], "seeds": 1}
    cell = Cell("digits", "bacon", 1, 0)
    cpu, gpu = (
        cost.distill_seconds(Plan(check_config({"grid": grid, "run": {"device": device}})), cell)
        for device in ("cpu", "auto")
    )
    assert cpu > 2 * gpu


def test_a_local_copy_of_a_registered_data_set_has_its_size(tmp_path):
    grid = {"datasets": ["cifar10"], "methods": ["dm"], "ipc": [1], "seeds": 1}
    own = check_config({"grid": grid, "data": {"cifar10": {"format": "npz", "path": str(tmp_path / "x.npz")}}})
    official = check_config({"grid": grid})
    assert cost.data_size(Plan(own), "cifar10") == cost.data_size(Plan(official), "cifar10")


def beside(method="dm", **run):
    """What a distillation on CIFAR-10 asks for, in MB."""
    grid = {"datasets": ["cifar10"], "methods": [method], "ipc": [10], "seeds": 5}
    plan = Plan(check_config({"grid": grid, "run": run}))
    return stages.memory_mb(plan, stages.distilled_artifact(plan, Cell("cifar10", method, 10, 0)))


def test_seeds_that_a_job_works_on_beside_its_own_ask_for_memory_of_the_host():
    alone = beside()
    assert [beside(cells_at_once=number) - alone for number in (2, 4, 5)] == [
        further * cost.BESIDE_MB for further in (1, 3, 4)
    ]
    assert beside(cells_at_once=16) == beside(cells_at_once=5), "the grid has five seeds"
    for where in ({"device": "cpu"}, {"real_images": "host"}):
        assert beside(cells_at_once=4, **where) == beside(**where) == alone


def test_each_seed_has_weights_of_its_own_that_wait_on_the_host():
    """MTT keeps those before each step of the student; ConvNet-3 has 320,010 of 4 bytes."""
    grid = {"datasets": ["cifar10"], "methods": ["mtt"], "ipc": [10], "seeds": 2}
    steps = Plan(check_config({"grid": grid})).settings(Cell("cifar10", "mtt", 10, 0)).distillation.student_steps
    waiting = steps * 320_010 * 4 / 1e6
    assert beside("mtt") - beside() == pytest.approx(waiting, abs=1)
    assert beside("mtt", cells_at_once=3) - beside("mtt") == pytest.approx(2 * (cost.BESIDE_MB + waiting), abs=1)


def test_a_set_that_is_copied_asks_for_no_memory_of_other_seeds():
    grid = {"datasets": ["cifar10"], "methods": ["mtt", "longer"], "ipc": [10], "seeds": 5}
    variants = {"longer": {"method": "mtt", "evaluation": {"epochs": 7}}}
    plan = Plan(check_config({"grid": grid, "variants": variants, "run": {"cells_at_once": 3}}))
    copied = Cell("cifar10", "longer", 10, 0)
    assert plan.same_set(copied) is not None
    assert stages.memory_mb(plan, stages.distilled_artifact(plan, copied)) == cost.memory_mb(plan, copied)


def test_weights_that_wait_are_bounded_as_the_job_bounds_them(monkeypatch):
    monkeypatch.setattr(cost, "weights", lambda *_: 10**9)
    weights = torch.empty(10**6)
    assert host_places(weights) == WAITING_WEIGHTS_BYTES // weights.nbytes
    assert beside("mtt") - beside() == pytest.approx(WAITING_WEIGHTS_BYTES / 1e6, abs=1)
