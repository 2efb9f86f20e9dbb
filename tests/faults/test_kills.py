"""Thirty kills at seeded random moments: every cell ends with the numbers of an undisturbed run."""

import pytest

from tests.faults.kills import VICTIMS, Harness, differences, leftovers, undisturbed

pytestmark = pytest.mark.faults

KILLS = 10


@pytest.mark.parametrize("seed", [20, 21, 22])
def test_killed_jobs_and_killed_snakemakes_end_with_the_undisturbed_numbers(tmp_path, seed):
    harness = Harness(tmp_path / "disturbed", seed=seed)
    seeds = harness.disturb(KILLS)
    undisturbed(tmp_path / "peace", seeds)
    print(dict(harness.tally), "cells:", len(seeds))
    assert differences(tmp_path / "peace", tmp_path / "disturbed", seeds) == []
    assert leftovers(tmp_path / "disturbed") == []
    assert harness.kills == KILLS
    assert all(harness.tally[f"killed {victim}"] > 0 for victim in VICTIMS)
