"""What the workflow relies on in Snakemake: there in the installed version, and named where a version lacks it."""

import threading
from inspect import signature
from types import SimpleNamespace

import pytest
import snakemake.api  # noqa: F401 - first: Snakemake's modules import each other
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.workflow import DAG, PersistenceBase, Workflow

from bacon.operations.snakemake_internals import (
    check_classes,
    check_snakemake,
    is_run,
    is_scheduled,
    wake_with_one_timer,
)
from bacon.runtime.errors import BaconError


def test_the_installed_snakemake_is_made_as_the_workflow_relies_on():
    """When this fails, a new Snakemake changed what the message names: adapt bacon/operations/snakemake_internals.py."""
    check_snakemake()


def without(of, name):
    """A class like another one, without one of its members."""
    members = {key: value for key, value in vars(of).items() if key not in (name, "__dict__", "__weakref__")}
    return type(of.__name__, (), members)


@pytest.mark.parametrize(
    ("owner", "name", "message"),
    [
        (DAG, "update_needrun", r"DAG\.update_needrun, which reads forcefiles"),
        (DAG, "__init__", r"DAG\(\.\.\., forcefiles\)"),
        (PersistenceBase, "metadata", r"PersistenceBase\.metadata"),
        (PersistenceBase, "params_changed", r"PersistenceBase\.params_changed"),
        (PersistenceBase, "incomplete", r"PersistenceBase\.incomplete"),
        (Workflow, "persistence", r"Workflow\.persistence"),
    ],
)
def test_what_a_version_lacks_is_named(owner, name, message):
    classes = [without(each, name) if each is owner else each for each in (DAG, PersistenceBase, Workflow)]
    with pytest.raises(BaconError, match=rf"Snakemake [\d.]+ changed .*{message}.* that this workflow relies on"):
        check_classes(*classes)


def test_the_installed_scheduler_starts_its_timers_where_one_is_put_in_their_place():
    """When this fails, Snakemake may have mended its timers: then ``wake_with_one_timer`` can go."""
    assert list(signature(JobScheduler._schedule_reevalutation).parameters) == ["self", "delay"]
    assert {"_schedule_reevalutation", "_open_jobs"} <= set(JobScheduler.schedule.__code__.co_names)


@pytest.mark.parametrize("change", [{"is_main_process": False}, {"executor_plugin": None}, {"dryrun": True}])
def test_a_call_that_computes_is_a_run_unless_another_may_keep_it_from_computing(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    call = {"is_main_process": True, "executor_plugin": object(), "dryrun": False}
    assert is_run(SimpleNamespace(**call))
    assert not is_run(SimpleNamespace(**call | change))
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.output.lock").touch()
    assert not is_run(SimpleNamespace(**call)), "Snakemake may refuse it"


@pytest.mark.parametrize("where", [{"remote_exec": True}, {"non_local_exec": True}, {}], ids=["job", "call", "here"])
def test_a_scheduler_is_known_to_the_call_and_to_its_jobs(where):
    assert is_scheduled(SimpleNamespace(**{"remote_exec": False, "non_local_exec": False} | where)) == bool(where)


class Scheduler:
    """What Snakemake's scheduler has of looking at waiting jobs: a look takes one permit, and leaves a timer that gives one."""

    def __init__(self):
        self._open_jobs = threading.Semaphore(0)
        self.looks = 0

    def _schedule_reevalutation(self, delay):
        threading.Timer(delay, self._open_jobs.release).start()

    def look(self):
        assert self._open_jobs.acquire(timeout=60)
        self.looks += 1
        self._schedule_reevalutation(0.01)


@pytest.fixture
def timers(monkeypatch):
    """Timers that wait until the test lets them fire, with what they were started as."""
    started = []

    class Timer(SimpleNamespace):
        def __init__(self, delay, function):
            super().__init__(delay=delay, function=function, daemon=False)

        def start(self):
            started.append(self)

    monkeypatch.setattr(threading, "Timer", Timer)
    return started


@pytest.mark.parametrize(("mended", "pending"), [(False, 6), (True, 1)])
def test_finished_jobs_leave_one_timer(timers, mended, pending):
    scheduler = type("Copy", (Scheduler,), {"_schedule_reevalutation": Scheduler._schedule_reevalutation})
    if mended:
        wake_with_one_timer(scheduler)
    running = scheduler()
    for _finished in range(6):
        running._open_jobs.release()
        running.look()
    assert len(timers) == pending
    assert all(timer.daemon is mended and timer.delay == 0.01 for timer in timers)


def test_the_scheduler_is_woken_again_and_again(timers):
    scheduler = type("Copy", (Scheduler,), {"_schedule_reevalutation": Scheduler._schedule_reevalutation})
    wake_with_one_timer(scheduler)
    running = scheduler()
    running._open_jobs.release()
    running.look()
    for number in range(1, 4):
        timers[-1].function()
        running.look()
        assert (running.looks, len(timers)) == (number + 1, number + 1)
    assert not running._open_jobs.acquire(blocking=False)


def test_a_scheduler_without_such_timers_stays_as_it_is():
    class Other:
        pass

    wake_with_one_timer(Other)
    assert not hasattr(Other, "_schedule_reevalutation")
