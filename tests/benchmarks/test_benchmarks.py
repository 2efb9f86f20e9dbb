"""The benchmarks run, compare like with like, and report what they measured; their figures are not asserted."""

import json
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from bacon.config.loading import check_config, grid_cells
from bacon.distillation.gradient_distance import gradient_distance
from bacon.distillation.real_images import RealImages
from bacon.networks.convnet import ConvNet
from bacon.runtime.errors import BaconError
from bacon.settings.network import NetworkSettings
from bacon.transforms.partition import decode
from benchmarks import gradients, workflow
from benchmarks.__main__ import main
from benchmarks.cells import PAPER_CELLS, measured, random_dataset
from benchmarks.cost import forward, forward_backward
from benchmarks.distillation import in_turns, parts, summary
from benchmarks.naive import PlainLoop, augmented, plain_network, unpacked
from benchmarks.published import Published, check_checkout, distillation_arguments
from tests.distillation.conftest import toy_dataset
from tests.distillation.engines import NETWORK, make_engine, settings


@pytest.fixture
def real32():
    return RealImages(toy_dataset(), device=torch.device("cpu"))


def test_distillation_prints_a_table_and_writes_the_figures(tmp_path):
    output = tmp_path / "speed.json"
    arguments = [
        "distillation",
        "--cell",
        "digits/bacon/ipc1",
        "--rounds",
        "1",
        "--device",
        "cpu",
        "--output",
        str(output),
    ]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "naive_over_ours" in result.output
    (row,) = json.loads(output.read_text())["distillation"]
    assert row["cell"] == "digits/bacon/ipc1/seed0"
    assert row["per_second"] == pytest.approx(1 / row["seconds"])
    for name in ("real_seconds", "synthetic_seconds", "queue_seconds", "flop", "roofline_share", "naive_over_ours"):
        assert row[name] > 0, name


def test_evaluation_reports_the_whole_protocol_from_a_few_epochs(tmp_path):
    output = tmp_path / "speed.json"
    arguments = ["evaluation", "--cell", "digits/bacon/ipc1", "--rounds", "1", "--epochs", "3", "--output", str(output)]
    result = CliRunner().invoke(main, [*arguments, "--device", "cpu"], catch_exceptions=False)
    assert result.exit_code == 0
    (row,) = json.loads(output.read_text())["evaluation"]
    assert row["network_seconds"] == pytest.approx(row["epochs"] * row["epoch_seconds"] + row["test_seconds"])
    assert row["all_seeds_seconds"] == pytest.approx(row["seeds"] * row["network_seconds"])


def test_programs_take_turns_and_the_first_run_of_each_does_not_count():
    order = []

    def program(name, seconds):
        def run():
            order.append(name)
            return seconds if order.count(name) > 1 else 1000.0

        return run

    seconds = in_turns({"ours": program("ours", 2.0), "naive": program("naive", 6.0)}, 2)
    assert order == ["ours", "naive"] * 3
    row = summary(seconds)
    assert (row["seconds"], row["naive_seconds"], row["naive_over_ours"]) == (2.0, 6.0, 3.0)


def test_parts_watch_the_engine_and_leave_it_as_it_was(real32):
    engine = make_engine(real32, settings("bacon"), ipc=1, seed=0)
    found = parts(engine, 2)
    assert engine.iteration == 2
    assert "gradient" not in vars(engine.algorithm)
    assert "advance" not in vars(engine.algorithm.pool)
    assert sum(found.values()) > 0
    assert found["real_seconds"] > 0


@pytest.mark.parametrize("method", ["bacon", "idm", "dm"])
def test_the_plain_loop_moves_every_class(real32, method):
    loop = PlainLoop(real32, settings(method), NETWORK, ipc=2)
    before = loop.x.detach().clone()
    for _ in range(2):
        loop.iteration()
    assert ((loop.x.detach() - before).flatten(1).abs().amax(dim=1) > 0).all()
    assert loop.x.isfinite().all()


def test_the_plain_network_is_ours():
    ours = ConvNet(NETWORK, channels=2, size=8, classes=3)
    plain = plain_network(NETWORK, (2, 8, 8), 3)
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        theirs.data.copy_(mine.data)
    x = torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(plain(x), ours(x), rtol=0, atol=1e-5)


def test_the_plain_loop_decodes_the_same_images():
    x = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    ours = decode(x, 2).unflatten(0, (3, 4)).transpose(0, 1).flatten(0, 1)
    torch.testing.assert_close(unpacked(x, 2), ours, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["color", "crop", "cutout", "flip", "scale", "rotate"])
def test_the_plain_loop_augments(name):
    x = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    results = [augmented(x, name, seed) for seed in range(6)]
    assert all(result.shape == x.shape and result.isfinite().all() for result in results)
    assert any(not torch.equal(result, x) for result in results)
    assert torch.equal(augmented(x, "none", 0), x)


def test_cost_of_the_papers_network():
    network = NetworkSettings()
    assert forward(network, 3, 32).flop == pytest.approx(0.1014e9, rel=0.01)
    assert forward_backward(network, 3, 32, image=False).flop == pytest.approx(3 * 0.1014e9, rel=0.03)


def test_random_data_have_the_shape_of_the_data_set_and_repeat():
    first, second = (random_dataset("cifar10", train_limit=50, test_limit=20) for _ in range(2))
    assert first.train_images.shape == (50, 3, 32, 32)
    assert first.test_images.shape == (20, 3, 32, 32)
    assert (first.train_images == second.train_images).all()
    assert [int(np.unique(images).size) for images in (first.train_images, first.test_images)] == [256, 256]
    real = RealImages(first, device=torch.device("cpu"))
    assert real.classes == 10
    ordered = random_dataset("cifar10", train_limit=50, test_limit=20, by_class=True)
    assert ordered.train_labels.tolist() == np.arange(10).repeat(5).tolist()
    assert ordered.test_labels.tolist() == first.test_labels.tolist() == [*range(10)] * 2
    assert np.shares_memory(RealImages(ordered, device=torch.device("cpu")).images.numpy(), ordered.train_images)


def test_the_published_program_gets_our_settings():
    arguments = distillation_arguments(measured("cifar10/bacon/ipc1"))
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    assert given["--batch_real"] == "5000"
    assert given["--net_generate_interval"] == "5"
    assert {"--net_train_real", "--net_decay", "--syn_ce", "--aug"} <= set(arguments)
    with pytest.raises(BaconError, match="timed on cifar10/bacon cells only"):
        distillation_arguments(measured("cifar10/idm/ipc1"))


def test_a_folder_without_the_published_programs_is_refused(tmp_path):
    with pytest.raises(BaconError, match=r"BACON_cifar10\.py.* missing"):
        check_checkout(tmp_path)


def test_a_program_that_ends_says_why(tmp_path):
    for name in ("BACON_cifar10.py", "dc_utils.py", "utils.py"):
        (tmp_path / name).write_text("raise ImportError('no such thing')\n")
    data = random_dataset("digits", train_limit=20, test_limit=10)
    program = Published(tmp_path, data, threads=1, specification={"do": "distil", "arguments": []})
    with pytest.raises(BaconError, match="no such thing"), program:
        pass


FAKE_PROGRAM = """
import random, time
def main():
    for it in range(100):
        random.shuffle([1, 2]); time.sleep(0.002)
        random.shuffle([1, 2]); time.sleep(0.001)
"""


def test_the_published_loop_is_timed_from_outside_and_stands_still_between(tmp_path):
    for name in ("dc_utils.py", "utils.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "BACON_cifar10.py").write_text(FAKE_PROGRAM)
    data = random_dataset("digits", train_limit=20, test_limit=10)
    with Published(tmp_path, data, threads=1, specification={"do": "distil", "arguments": []}) as program:
        for _ in range(2):
            answer = program.ask()
            assert answer["matching"] >= 0.002
            assert answer["queue"] >= 0.001
            time.sleep(0.001)


def test_paper_measures_everything_and_sums_the_hours(tmp_path):
    output = tmp_path / "speed.json"
    arguments = [
        "paper",
        "--cell",
        "digits/bacon/ipc1",
        "--cell",
        "digits/idm/ipc1",
        "--rounds",
        "1",
        "--device",
        "cpu",
    ]
    result = CliRunner().invoke(main, [*arguments, "--output", str(output)], catch_exceptions=False)
    assert result.exit_code == 0
    found = json.loads(output.read_text())
    rows = found["distillation"]
    assert [row["cell"] for row in rows] == ["digits/bacon/ipc1/seed0", "digits/idm/ipc1/seed0"]
    assert found["hours"] == pytest.approx(sum(row["whole_hours"] for row in rows))
    assert all(row["whole_hours"] == pytest.approx(150 * row["seconds"] / 3600) for row in rows)
    assert all(row["peak_memory_bytes"] > 2**24 for row in rows)
    assert len(found["evaluation"]) == 2


def test_everything_is_every_method_data_set_and_twelve_protocols():
    made = check_config(workflow.everything_grid())
    grid = made.grid
    assert (len(grid.methods), len(grid.datasets), len(grid.ipc), len(grid.protocols)) == (28, 7, 3, 12)
    assert len(grid_cells(made)) * len(grid.protocols) == 35_280


@pytest.mark.workflow
def test_workflow_plans_a_grid_and_starts_jobs():
    row = workflow.measure(cells=40, dataset="digits", device=torch.device("cpu"))
    assert row["planned_jobs"] >= 80
    assert min(row["start_python_seconds"], row["start_distill_job_seconds"], row["start_evaluate_job_seconds"]) > 0
    assert row["read_seconds"] > 0


def test_the_papers_cells_are_eleven():
    assert len(PAPER_CELLS) == 11
    assert all(measured(name).matching.iterations == 20000 for name in PAPER_CELLS)


@pytest.mark.parametrize("image", [False, True])
def test_images_of_28_pixels_cost_what_their_padded_maps_cost(image):
    small, padded = (forward_backward(NetworkSettings(width=8), 1, size, image=image) for size in (28, 32))
    assert small == padded
    assert forward_backward(NetworkSettings(width=8), 1, 24, image=image).flop < small.flop


def test_gradient_matching_is_measured_against_a_plain_loop_of_the_same_work():
    cell = measured("digits/dsa/ipc1")
    row = gradients.measure(cell, device=torch.device("cpu"), rounds=1, batch_real=2, epochs=1)
    outer, inner = cell.settings.distillation.loops(1)
    for name, key in (("ours", "seconds"), ("plain", "plain_seconds")):
        whole = outer * row[f"step_{key}"] + (outer - 1) * inner * row[f"epochs_{key}"]
        assert row[f"iteration_{name}"] == pytest.approx(whole)
    with pytest.raises(BaconError, match="matches no gradients"):
        gradients.measure(measured("digits/dm/ipc1"), device=torch.device("cpu"), rounds=1)


def test_the_plain_distance_of_gradients_is_ours():
    one, other = ([torch.randn(3, 4, 5, 5), torch.randn(3), torch.randn(2, 7)] for _ in range(2))
    ours = gradient_distance([each[None] for each in one], [each[None] for each in other])
    torch.testing.assert_close(gradients.distance(one, tuple(other)), ours[0])
