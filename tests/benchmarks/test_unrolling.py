"""The benchmark of the unrolled gradient runs what it says and tells the two ways apart."""

import torch

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
