"""The benchmark of the unrolled gradient runs what it says and tells the two ways apart."""

import csv

import torch
from PIL import Image

from benchmarks import unrolling

CPU = torch.device("cpu")


def test_both_ways_are_timed_in_turns():
    found = unrolling.seconds(2, 2, 1, CPU)
    assert found.keys() == {"naive", "constant", "ratio"}
    assert all(value > 0 for value in found.values())


def test_the_peak_is_that_of_the_way_that_is_asked_for(monkeypatch):
    asked = []

    def recorded(images, steps, **options):
        asked.append((images, steps, options["constant_memory"]))
        return lambda: None

    monkeypatch.setattr(unrolling, "iteration", recorded)
    assert unrolling.peak(3, 5, "constant", CPU) >= 0
    assert asked[-1] == (3, 5, True)


def test_the_numbers_are_written_and_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(unrolling, "peak_elsewhere", lambda _, steps, way, __: 1e6 * steps * len(way))
    rows = [unrolling.measured(2, steps, 0, CPU) for steps in (1, 3)]
    assert rows[1] == {"images": 2, "steps": 3, "naive_mb": 15.0, "constant_mb": 24.0}
    unrolling.write(rows, tmp_path / "new")
    with (tmp_path / "new" / "trajectory_memory.csv").open(newline="") as file:
        assert list(csv.DictReader(file))[1]["naive_mb"] == "15.0"
    with Image.open(tmp_path / "new" / "trajectory_memory.png") as image:
        assert image.width > image.height > 0
        assert len(image.convert("L").getcolors(256)) > 5, "something is drawn"
