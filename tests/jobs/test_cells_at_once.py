"""Seeds of a cell that one job works on at the same time: each ends with the file that it has when it is alone.

A CPU takes the turns of a GPU here, without streams.
"""

import logging
import os
import signal
import weakref

import h5py
import pytest
import torch

from bacon.config.loading import check_config
from bacon.distillation import driver
from bacon.distillation.engine import Engine
from bacon.distillation.matching.feature_matching import FeatureMatching
from bacon.jobs import distillation_job
from bacon.jobs.distillation_job import other_seeds, run_cell
from bacon.plan.plan import Plan
from bacon.runtime.clocks import SharedClock
from bacon.runtime.devices import set_up_arithmetic
from bacon.runtime.job_lock import free_job_lock, is_held, job_lock
from bacon.settings.cells import Cell
from tests.distillation.conftest import toy_dataset

SEEDS = [Cell("digits", "dm", 1, seed) for seed in range(3)]
ITERATIONS = 4


@pytest.fixture(autouse=True)
def _toy(monkeypatch, caplog, tmp_path):
    caplog.set_level(logging.INFO, "bacon")
    monkeypatch.setenv("BACON_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(driver, "read_training", lambda *_, **__: toy_dataset())
    monkeypatch.setattr(distillation_job, "set_up_arithmetic", lambda *_, **__: None)  # of the whole process
    monkeypatch.setattr(distillation_job, "has_streams", lambda _: True)


def plan_in(folder, *, at_once=3, iterations=ITERATIONS, overrides=None, **run):
    config = {
        "preset": "smoke",
        "grid": {"datasets": ["digits"], "methods": ["dm"], "ipc": [1], "seeds": len(SEEDS)},
        "datasets": {"digits": {"network": {"width": 4, "depth": 2}}},
        "methods": {"dm": {"distillation": {"iterations": iterations, "snapshot_interval": iterations // 2}}},
        "run": {"device": "cpu", "cells_at_once": at_once, "checkpoint_seconds": 1000.0, **run},
        "overrides": overrides or {},
    }
    return Plan(check_config(config), folder)


def distil(plan, seed):
    cell = SEEDS[seed]
    run_cell(plan, cell, data=plan.directory / "none.h5", output=plan.directory / cell.distilled_path, threads=1)


def content(plan, seed):
    """Every array of a cell's file."""
    found = {}
    with h5py.File(plan.directory / SEEDS[seed].distilled_path) as file:
        file.visititems(lambda name, part: found.update({name: part[()].tobytes()} if hasattr(part, "shape") else {}))
    return found


def iterations_kept(plan, seed):
    """Iterations of a cell's checkpoints."""
    folder = plan.directory / SEEDS[seed].checkpoint_folder / plan.distilled_fingerprint(SEEDS[seed])
    return sorted(int(path.stem) for path in folder.glob("*.ckpt"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The files of seeds that were distilled each by itself."""
    plan = plan_in(tmp_path_factory.mktemp("alone"), at_once=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "read_training", lambda *_, **__: toy_dataset())
        patch.setattr(distillation_job, "set_up_arithmetic", lambda *_, **__: None)
        for seed in range(len(SEEDS)):
            distil(plan, seed)
    return [content(plan, seed) for seed in range(len(SEEDS))]


def test_each_seed_ends_with_the_file_that_it_has_alone(tmp_path, alone, caplog):
    plan = plan_in(tmp_path)
    distil(plan, 0)
    assert content(plan, 0) == alone[0]
    assert [iterations_kept(plan, seed) for seed in (1, 2)] == [[ITERATIONS], [ITERATIONS]]
    assert not any((tmp_path / cell.distilled_path).exists() for cell in SEEDS[1:]), "their own jobs write them"
    assert not any(is_held((tmp_path / cell.running_path("distill")).with_suffix(".lock")) for cell in SEEDS)
    for seed in (1, 2):
        distil(plan, seed)
        assert f"resumed at iteration {ITERATIONS}" in caplog.text
        assert content(plan, seed) == alone[seed]
        assert iterations_kept(plan, seed) == []


def test_what_is_made_or_in_other_hands_is_left_alone(tmp_path, alone, caplog):
    plan = plan_in(tmp_path)
    distil(plan_in(tmp_path, at_once=1), 1)
    with job_lock((tmp_path / SEEDS[2].running_path("distill")).with_suffix(".lock")):
        distil(plan, 0)
    assert "is worked on beside it" not in caplog.text
    assert (content(plan, 0), content(plan, 1)) == (alone[0], alone[1])
    assert iterations_kept(plan, 1) == iterations_kept(plan, 2) == []


def test_a_seed_that_fails_is_left_to_its_own_job(tmp_path, alone, monkeypatch, caplog):
    step = Engine.step

    def failing(engine):
        if engine.algorithm.context.seed == 1 and engine.iteration == 2:
            raise RuntimeError("broken")
        step(engine)

    monkeypatch.setattr(Engine, "step", failing)
    plan = plan_in(tmp_path)
    distil(plan, 0)
    assert content(plan, 0) == alone[0]
    assert "digits/dm/ipc1/seed1 is left to its own job (RuntimeError: broken)" in caplog.text
    assert (iterations_kept(plan, 1), iterations_kept(plan, 2)) == ([], [ITERATIONS])


def test_a_request_to_stop_keeps_the_state_of_all(tmp_path, alone, monkeypatch):
    step = Engine.step

    def stopped(engine):
        if engine.algorithm.context.seed == 0 and engine.iteration == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        step(engine)

    plan = plan_in(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", stopped)
        with pytest.raises(SystemExit):
            distil(plan, 0)
    assert [iterations_kept(plan, seed) for seed in range(3)] == [[3], [2], [2]]
    for seed in range(3):
        distil(plan, seed)
        assert content(plan, seed) == alone[seed]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_company_goes_before_anything_is_computed_in_smaller_pieces(tmp_path, alone, monkeypatch, caplog, seed):
    gradient, refused = FeatureMatching.gradient, []

    def full(algorithm, iteration, *drawn):
        if algorithm.context.seed == seed and iteration == 2 and not refused:
            refused.append(1)
            raise torch.OutOfMemoryError("no room")
        return gradient(algorithm, iteration, *drawn)

    monkeypatch.setattr(FeatureMatching, "gradient", full)
    plan = plan_in(tmp_path)
    distil(plan, 0)
    assert refused
    assert "run.chunk_images is now" not in caplog.text
    assert content(plan, 0) == alone[0]
    assert [iterations_kept(plan, other) for other in (1, 2)] == ([[2], [2]] if seed == 0 else [[], [ITERATIONS]])


def test_the_memory_of_a_cell_that_makes_way_is_free_at_once_and_stays_so(tmp_path, monkeypatch):
    """Its parts refer to one another; the job's own cell tries again as soon as it is asked, and no other is taken."""
    gradient, beside, left = FeatureMatching.gradient, weakref.WeakSet(), []

    def full(algorithm, iteration, *drawn):
        if algorithm.context.seed:
            beside.add(algorithm)
        elif iteration == 2:
            left.append(len(beside))
            if len(left) == 1:
                raise torch.OutOfMemoryError("no room")
        return gradient(algorithm, iteration, *drawn)

    monkeypatch.setattr(FeatureMatching, "gradient", full)
    plan = plan_in(tmp_path, at_once=2)
    distil(plan, 0)
    assert left[:2] == [1, 0]
    assert (iterations_kept(plan, 1), iterations_kept(plan, 2)) == ([2], [])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_too_each_seed_has_the_bits_that_it_has_alone(tmp_path, monkeypatch, caplog):
    """Recorded, on streams of their own."""
    monkeypatch.setattr(distillation_job, "set_up_arithmetic", set_up_arithmetic)
    try:
        found = []
        for at_once in (1, 3):
            plan = plan_in(tmp_path / str(at_once), at_once=at_once, iterations=120, device="cuda")
            for seed in range(len(SEEDS)):
                distil(plan, seed)
            found.append([content(plan, seed) for seed in range(len(SEEDS))])
    finally:
        torch.set_deterministic_debug_mode("default")
    assert "resumed at iteration 120" in caplog.text
    assert found[0] == found[1]


def test_which_seeds_come_first():
    plan = plan_in(".")
    assert other_seeds(plan, SEEDS[1]) == [SEEDS[2], SEEDS[0]]
    assert other_seeds(plan, SEEDS[0]) == SEEDS[1:]


def test_a_seed_that_is_distilled_from_whitened_images_does_not_take_those_of_another():
    plan = plan_in(".", overrides={str(SEEDS[1]): {"preprocessing": {"zca": True}}})
    assert other_seeds(plan, SEEDS[0]) == [SEEDS[2]]
    assert other_seeds(plan, SEEDS[1]) == []


@pytest.mark.parametrize("change", ["cpu", "slurm"])
def test_a_cpu_and_a_scheduler_give_each_job_its_own_cell(tmp_path, monkeypatch, change, caplog):
    if change == "cpu":
        monkeypatch.undo()
        monkeypatch.setenv("BACON_LOCK_DIR", str(tmp_path / "locks"))
        monkeypatch.setattr(driver, "read_training", lambda *_, **__: toy_dataset())
        monkeypatch.setattr(distillation_job, "set_up_arithmetic", lambda *_, **__: None)
    else:
        monkeypatch.setenv("SLURM_JOB_ID", "7")
    distil(plan_in(tmp_path), 0)
    assert "is worked on beside it" not in caplog.text


def test_images_that_the_host_gathers_are_gathered_for_one_cell(tmp_path, caplog):
    distil(plan_in(tmp_path, real_images="host"), 0)
    assert "is worked on beside it" not in caplog.text


def test_a_lock_that_is_held_is_not_waited_for(tmp_path):
    with free_job_lock(tmp_path / "a.lock") as first:
        with free_job_lock(tmp_path / "a.lock") as second:
            assert (first, second) == (True, False)
        assert is_held(tmp_path / "a.lock")
    assert not is_held(tmp_path / "a.lock")


def test_cells_that_share_the_time_are_charged_their_shares(monkeypatch):
    now = iter([0.0, 10.0, 12.0, 20.0, 30.0, 33.0])
    monkeypatch.setattr("bacon.runtime.clocks.time.perf_counter", lambda: next(now))
    clock = SharedClock()  # at 0
    with clock():  # from 10
        start = clock.now()  # at 12
        with clock():  # 20 to 30
            pass
        assert clock.now() - start == 8 + 10 / 2 + 3
        now = iter([33.0])
