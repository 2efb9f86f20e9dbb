"""What `bacon init` decides follows from data, machine and time, and what it writes is what it decided."""

import math

import pytest
import yaml

from bacon.config.loading import check_config
from bacon.config.unreached import unreached_values
from bacon.networks.registry import check_fits
from bacon.operations.configuration_text import configuration_text, readable, scalar
from bacon.operations.first_configuration import EFFORTS, OwnImages, draft
from bacon.plan import cost
from bacon.plan.machine import Machine
from bacon.plan.plan import Plan
from bacon.plan.run_time import run_seconds
from bacon.settings.cells import Cell

LAPTOP = Machine(cores=4, memory_mb=16_000, operations_per_second=4e10, pass_seconds=0.003, start_seconds=3)
SERVER = Machine(
    cores=16, memory_mb=128_000, gpus=2, gpu_name="GPU", operations_per_second=1e13, pass_seconds=1e-3, start_seconds=6
)


def own(classes=3, count=100, **changes):
    values = {
        "format": "imagefolder", "path": "photos", "title": "Photos", "classes": tuple(map(str, range(classes))),
        "train": (count,) * classes, "test": None, "sides": (300, 480, 900), "square": None, "channels": 3,
    }  # fmt: skip
    return OwnImages(**(values | changes))


def drafted(data=None, machine=LAPTOP, *, preset=None, minutes=20.0):
    return draft("photos", data or own(), machine, preset=preset, minutes=minutes)


def rank(found):
    return EFFORTS.index(found.effort)


def test_more_time_never_gives_less():
    found = [drafted(minutes=minutes) for minutes in (1, 5, 20, 100, 1000)]
    seeds = [each.config["grid"]["seeds"] for each in found]
    assert seeds == sorted(seeds)
    assert {1, 3} == set(seeds)
    repeated = [rank(each) for each in found if each.config["grid"]["seeds"] == 3]
    assert repeated == sorted(repeated, reverse=True)
    assert repeated[0] > repeated[-1]


@pytest.mark.parametrize("minutes", [10, 60, 600])
def test_the_estimate_keeps_to_the_time(minutes):
    assert 0 < drafted(minutes=minutes).seconds <= 60 * minutes


def test_where_nothing_is_quick_enough_the_quickest_is_taken():
    data = own(classes=300, count=500)
    found = drafted(data, minutes=0.1)
    assert found.seconds > 6
    assert found.seconds == min(drafted(data, minutes=0.1, preset=name).seconds for name in ("demo", "fast", "paper"))
    assert found.config["methods"]["full"]["evaluation"]["epochs"] == 3


def test_a_faster_machine_computes_more():
    assert rank(drafted(machine=SERVER)) < rank(drafted())
    assert drafted(machine=SERVER, minutes=None, preset="paper").size > drafted(minutes=None, preset="paper").size
    assert drafted(machine=SERVER).jobs == SERVER.gpus


@pytest.mark.parametrize(
    ("preset", "machine"), [("smoke", LAPTOP), ("demo", LAPTOP), ("fast", SERVER), ("paper", SERVER)]
)
@pytest.mark.parametrize(
    "data",
    [
        own(), own(count=2), own(count=3, test=(1, 1, 1)), own(count=1, test=(2, 0, 1)), own(classes=40, count=9),
        own(sides=(3, 3, 3), square=3), own(sides=(28, 28, 28), square=28, channels=1, format="npz", value_range=(0.0, 1.0)),
        own(format="hdf5", sides=(48, 48, 48), square=48, test=(9, 9, 9)),
    ],
    ids=["photos", "two", "three", "one", "forty", "tiny", "npz", "hdf5"],
)  # fmt: skip
def test_whatever_the_data_the_configuration_is_valid_and_is_what_the_text_says(data, machine, preset):
    found = drafted(data, machine, preset=preset, minutes=None)
    config = check_config(found.config)
    assert unreached_values(config) == ()
    text = configuration_text(found, machine, ["snakemake all"])
    assert check_config(yaml.safe_load(text)) == config
    assert config.preset == preset
    plan = Plan(config)
    for cell in (*plan.references, *plan.cells):
        settings = plan.settings(cell)
        check_fits(settings.network, found.size)
        if settings.distillation is not None:
            assert settings.distillation.real_images_needed(cell.ipc) <= min(data.kept)


def test_presets_run_as_many_iterations_as_they_promise():
    for preset, iterations in (("smoke", 4), ("demo", 150), ("fast", 800), ("paper", 20_000)):
        plan = Plan(check_config(drafted(preset=preset, minutes=None).config))
        found = {plan.settings(cell).distillation.iteration_count() for cell in plan.cells if cell.method != "random"}
        assert found == {iterations}


@pytest.mark.parametrize(
    ("sides", "square", "size"),
    [
        ((8, 8, 8), 8, 8), ((5, 5, 5), 5, 8), ((28, 28, 28), 28, 28), ((20, 30, 90), None, 32), ((31, 40, 50), None, 32),
        ((600, 600, 600), None, 64), ((17, 17, 17), 17, 16), ((60, 60, 60), 60, 64),
    ],
)  # fmt: skip
def test_the_size_is_one_that_networks_take_and_enlarges_little(sides, square, size):
    assert drafted(own(sides=sides, square=square), minutes=None, preset="demo").size == size


def test_the_smallest_class_limits_the_images_per_class():
    data = own(classes=2, train=(1000, 6))
    assert drafted(data, minutes=None, preset="demo").config["grid"]["ipc"] == [1]  # 5 are left, 4 to an image
    assert drafted(own(count=60), minutes=None, preset="demo").config["grid"]["ipc"] == [1, 10]
    assert drafted(own(count=700), minutes=None, preset="paper").config["grid"]["ipc"] == [1, 10, 50]


def test_little_memory_is_enough():
    small = Machine(cores=8, memory_mb=4000, operations_per_second=4e10, pass_seconds=0.003, start_seconds=3)
    found = drafted(own(classes=100), small, preset="demo", minutes=None)
    assert found.config["run"]["chunk_images"] < 2048
    assert 1 <= found.jobs < 8
    assert "run" not in drafted(own(classes=100), preset="smoke", minutes=None).config


def test_every_value_has_its_reason():
    """A comment on its line or above it, or above the mapping that holds it; but for names, and reasons given before."""
    text = configuration_text(drafted(), LAPTOP, ["snakemake all -n", "snakemake all"])
    lines = text.splitlines()
    assert all(len(line) <= 100 for line in lines)
    bare = [
        line.strip()
        for above, line in zip(["", *lines], lines, strict=False)
        if ": " in line.partition("#")[0] and "#" not in line and "#" not in above
    ]
    assert [line for line in bare if not line.startswith(("iterations", "snapshot_interval", "path"))] == []
    assert "Estimated time on this machine (4 CPU cores, no GPU)" in text


@pytest.mark.parametrize(
    "value",
    [
        "plain", "it's", 'say "x"', "a: b # c", "{x}", "[x]", "猫と犬", "~", "null", "yes", "1e3", " ", "-", "a\tb", "%s",
        0.2, 5e-4, [1, 10], None,
    ],
)  # fmt: skip
def test_a_scalar_is_read_back(value):
    assert "\n" not in scalar(value)
    assert yaml.safe_load(f"key: {scalar(value)} # why") == {"key": value}


def test_names_in_comments_stay_on_their_line():
    assert readable("a\nb") == r"a\nb"
    assert len(readable("x" * 500)) == 40


def test_the_time_of_a_run_is_that_of_its_jobs():
    """By hand: of two jobs at a time, the sum over two; one that waits for another counts with it."""
    grid = {"datasets": ["photos"], "methods": ["random"], "ipc": [1], "seeds": 2}
    config = {"preset": "smoke", "grid": grid, "data": {"photos": {"format": "imagefolder", "path": "p"}}}
    plan = Plan(check_config(config | {"datasets": {"photos": {"network": {"width": 8}}}}))
    sizes = {"photos": cost.DataSize(channels=3, size=32, classes=2, train=20, test=10)}
    machine = Machine(cores=2, memory_mb=8000, operations_per_second=math.inf, pass_seconds=0.0, start_seconds=2)
    # Three chains of two jobs (full, and two seeds), then planning, tables, figures and report: 8.5 starts.
    fixed = 5 + 2 + 3 * 2 * 2 / 2 + 2 * (8 + 0.5 / 2)
    assert run_seconds(plan, machine, sizes, preparing=5.0) == pytest.approx(fixed)
    slow = Machine(cores=2, memory_mb=8000, operations_per_second=1e6, pass_seconds=0.0, start_seconds=2)
    slower = Machine(cores=2, memory_mb=8000, operations_per_second=5e5, pass_seconds=0.0, start_seconds=2)
    first, second = (run_seconds(plan, each, sizes, preparing=5.0) for each in (slow, slower))
    longest = 5 + 2 + 2 * (8 + 0.5 / 2)  # the full set's jobs outlast the others
    assert (second - longest - 4) == pytest.approx(2 * (first - longest - 4))


def test_measured_speed_replaces_what_a_scheduler_is_asked_for():
    grid = {"datasets": ["photos"], "methods": ["dm"], "ipc": [1], "seeds": 1}
    plan = Plan(check_config({"preset": "smoke", "grid": grid, "data": {"photos": {"format": "npz", "path": "p.npz"}}}))
    sizes = {"photos": cost.DataSize(channels=1, size=16, classes=2, train=40, test=10)}
    measured = cost.Measurements(operations_per_second=1e9, pass_seconds=0.5, sizes=sizes)
    cell = Cell("photos", "dm", 1, 0)
    image = cost.operations(plan.settings(cell).network, 1, 16)
    real, synthetic = 16 * 2, 2  # DM's smoke batch of each class; one image of each
    operations = real * image.forward + synthetic * image.image_gradient
    assert cost.distill_seconds(plan, cell, measured) == pytest.approx(4 * (operations / 1e9 + 2 * 0.5))
