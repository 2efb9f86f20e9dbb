"""``bacon status`` and ``bacon prune`` on a finished grid that is changed in every way they report."""

import json
import os
import platform
import re
import shutil
import time
from dataclasses import asdict
from pathlib import PurePath

import pytest
import yaml
from click.testing import CliRunner

from bacon.cli import main
from bacon.commands.status import as_dict
from bacon.config.loading import check_config
from bacon.operations.job_status import duration, read_status
from bacon.operations.orphans import orphans, remove_path
from bacon.operations.recorded_runs import CONFIGURATIONS, record_run
from bacon.plan.machine import START_SECONDS
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from bacon.runtime.heartbeat import JobProgress
from bacon.runtime.job_lock import is_held, job_lock
from bacon.settings.cells import FREE_RECORDS, Cell
from tests.workflow.conftest import TINY, Project, finished  # noqa: F401 - a fixture

pytestmark = pytest.mark.workflow

DM = Cell("digits", "dm", 1, 0)
CONFIG = TINY | {"grid": TINY["grid"] | {"methods": ["random", "dm"]}}


@pytest.fixture
def folder(finished, tmp_path):  # noqa: F811 - a fixture
    """The finished grid as if it had these two methods alone."""
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder, ignore=shutil.ignore_patterns("idm", "bacon", "*_idm_*", "*_bacon_*"))
    Project(folder).configure(CONFIG)
    # A run of its own, in the place of the whole grid's, which commands would read.
    shutil.rmtree(folder / CONFIGURATIONS)
    record_run(CONFIG, files=[folder / "config/config.yaml"], overridden=False, directory=folder)
    return folder


def plan(folder, **changes):
    return Plan(check_config(CONFIG | changes), folder)


def job(found, stage, name):
    return next(each for each in found.jobs if (each.stage, each.name) == (stage, name))


def write_progress(folder, fingerprint, **changes):
    progress = JobProgress(
        fingerprint=fingerprint, done=30, total=120, rate=2.0, seconds=15.0, updated=time.time(), interval=1.0,
        pid=os.getpid(), host=platform.node(), slurm_job="", device="CPU",
    )  # fmt: skip
    path = folder / DM.running_path("distill")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(progress) | changes))
    return path


def test_a_finished_grid_is_done(folder):
    found = read_status(plan(folder))
    assert found.counts == {"done": 1 + 1 + 2 + 3}
    assert found.seconds_left == 0


@pytest.mark.parametrize(
    ("changes", "stage", "name", "why"),
    [
        ({"methods": {"dm": {"distillation": {"lr_img": 0.5}}}}, "distill", str(DM), "distillation.lr_img: 1.0 -> 0.5"),
        ({"methods": {"dm": {"distillation": {"lr_img": 0.5}}}}, "evaluate", str(DM), "the distilled set changed"),
        ({"methods": {"dm": {"evaluation": {"epochs": 2}}}}, "evaluate", str(DM), "evaluation.epochs: 3 -> 2"),
        ({"data": {"digits": {"mean": [0.5], "std": [0.5]}}}, "distill", str(DM), "the data set changed"),
        ({"data": {"digits": {"mean": [0.5], "std": [0.5]}}}, "data", "digits", "settings, source or code changed"),
    ],
)
def test_a_stale_job_says_why(folder, changes, stage, name, why):
    found = job(read_status(plan(folder, **changes)), stage, name)
    assert (found.state, found.detail) == ("stale", why)
    assert found.seconds_left >= START_SECONDS, "the start of a job counts"


def test_an_artifact_of_other_code_says_so(folder):
    import h5py

    with h5py.File(folder / DM.distilled_path, "r+") as file:
        file.attrs["fingerprint"] = "0" * 32
    assert job(read_status(plan(folder)), "distill", str(DM)).detail == "the code changed"
    (folder / DM.distilled_path).write_bytes(b"damaged")
    assert job(read_status(plan(folder)), "distill", str(DM)).detail == "the file is damaged"


def test_packages_make_results_stale_only_when_asked_and_then_status_names_them(folder, monkeypatch):
    monkeypatch.setattr("bacon.runtime.provenance.version", lambda name: {"torch": "99.0"}.get(name, "1.0"))
    assert read_status(plan(folder)).counts == {"done": 1 + 1 + 2 + 3}
    older = plan(folder, stale_on_upgrade=["torch"])
    found = read_status(older)
    assert found.counts == {"stale": 1 + 1 + 2 + 3}
    for stage in ("distill", "evaluate"):
        assert re.fullmatch(r"another version of torch: \S+ -> 99\.0", job(found, stage, str(DM)).detail)
    monkeypatch.setattr("bacon.runtime.provenance.version", lambda _: "100.0")
    newer = plan(folder, stale_on_upgrade=["torch"])
    assert newer.data_fingerprint("digits") != older.data_fingerprint("digits")
    assert newer.distilled_fingerprint(DM) != older.distilled_fingerprint(DM)
    assert newer.record_fingerprint(DM, "convnet") != older.record_fingerprint(DM, "convnet")


def test_a_package_that_is_not_there_is_an_error(folder):
    with pytest.raises(BaconError, match="stale_on_upgrade: no package 'pytorhc' is installed here"):
        plan(folder, stale_on_upgrade=["pytorhc"])


def test_a_running_job_says_how_far_it_is(folder):
    path = write_progress(folder, plan(folder).distilled_fingerprint(DM))
    with job_lock(path.with_suffix(".lock")):
        found = job(read_status(plan(folder)), "distill", str(DM))
    assert found.state == "running"
    assert found.detail.startswith("30/120 (25%), 2/s, 45 s left")
    assert found.seconds_left == 45


def test_a_job_on_another_machine_runs_as_long_as_it_says_so(folder):
    fingerprint = plan(folder).distilled_fingerprint(DM)
    (folder / DM.distilled_path).unlink()
    write_progress(folder, fingerprint, host="node7", slurm_job="31")
    found = job(read_status(plan(folder)), "distill", str(DM))
    assert found.state == "running"
    assert found.detail.endswith("node7 SLURM job 31")
    write_progress(folder, fingerprint, host="node7", updated=time.time() - 1000)
    assert job(read_status(plan(folder)), "distill", str(DM)).state == "stopped"


def test_a_killed_job_is_stopped_and_counts_what_it_did(folder):
    (folder / DM.distilled_path).unlink()
    waiting = job(read_status(plan(folder)), "distill", str(DM))
    assert waiting.state == "waiting"
    write_progress(folder, plan(folder).distilled_fingerprint(DM))
    found = job(read_status(plan(folder)), "distill", str(DM))
    assert (found.state, found.detail) == ("stopped", "at 30/120; the next run continues")
    assert waiting.seconds_left > START_SECONDS
    assert found.seconds_left - START_SECONDS == pytest.approx(0.75 * (waiting.seconds_left - START_SECONDS))


def test_times_follow_what_finished_jobs_took_of_any_stage_of_networks(folder):
    def computing():
        found = read_status(plan(folder))
        cells = DM, Cell("digits", "random", 1, 0)
        return found, [job(found, "distill", str(cell)).seconds_left - START_SECONDS for cell in cells]

    shutil.rmtree(folder / "results/distilled")
    found, by_others = computing()
    assert found.measured
    for name in ("evaluation", "training"):
        shutil.rmtree(folder / "results" / name, ignore_errors=True)
    found, assumed = computing()
    assert not found.measured, "the data set alone says nothing of the speed of networks"
    assert found.assumed_device == "a GPU"  # run.device is auto
    factors = [other / own for other, own in zip(by_others, assumed, strict=True)]
    assert factors[0] == pytest.approx(factors[1])
    assert factors[0] != pytest.approx(1.0)


def test_a_failed_job_says_its_error_and_its_log(folder):
    (folder / DM.distilled_path).unlink()
    log = "results/logs/distill/digits/dm/ipc1/seed0.log"
    (folder / log).write_text("2026-01-01 00:00:00 INFO a\n2026-01-01 00:00:01 ERROR iteration 3: the loss is bad\n")
    found = job(read_status(plan(folder)), "distill", str(DM))
    assert (found.state, found.detail, found.log) == ("failed", "iteration 3: the loss is bad", log)


def test_the_command_prints_the_grid_and_json(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "config/config.yaml").write_text(
        yaml.safe_dump(CONFIG | {"methods": {"dm": {"evaluation": {"epochs": 2}}}})
    )
    recorded = CliRunner().invoke(main, ["status"])
    assert "7 jobs: 7 done." in recorded.stdout, "the configuration of the run, not the file that was edited since"
    assert "config/config.yaml has changed since that run" in recorded.stderr
    table = CliRunner().invoke(main, ["status", "--config", "config/config.yaml"])
    assert table.exit_code == 0, table.output
    assert "evaluation.epochs: 3 -> 2" in table.output
    assert "7 jobs: 6 done, 1 stale." in table.output
    rows = {
        cells[0]: cells[1:]
        for line in table.output.splitlines()
        if len(cells := re.split(r"\s*[│┃]\s*", line)[1:-1]) == 5
    }
    assert rows["cell"] == ["data", "train", "distil", "evaluate"]
    assert rows["digits"] == ["D", "", "", ""]
    assert rows["digits/dm/ipc1"] == ["", "", "D", "S"]
    found = json.loads(CliRunner().invoke(main, ["status", "--json", "--config", "config/config.yaml"]).stdout)
    assert found["counts"] == {"done": 6, "stale": 1}
    assert found == as_dict(read_status(plan(folder, methods={"dm": {"evaluation": {"epochs": 2}}})))


def test_watching_ends_when_everything_is_done(folder, monkeypatch):
    monkeypatch.chdir(folder)
    watched = CliRunner().invoke(main, ["status", "--watch", "--seconds", "0.01"])
    assert watched.output.count("7 jobs: 7 done.") == 1


def test_durations():
    assert [duration(seconds) for seconds in (45, 720, 12240)] == ["45 s", "12 min", "3.4 h"]


def test_prune_lists_what_no_cell_needs_and_removes_it_on_request(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert [path for path in orphans(plan(folder)) if path.suffix not in (".lock", ".holder")] == []
    fewer = CONFIG | {"grid": CONFIG["grid"] | {"methods": ["random"]}}
    (folder / "config/config.yaml").write_text(yaml.safe_dump(fewer))
    assert "Nothing to remove." in CliRunner().invoke(main, ["prune"]).stdout, "the recorded run made it"
    named = ["prune", "--config", "config/config.yaml"]
    listed = CliRunner().invoke(main, named)
    expected = [DM.distilled_path, DM.evaluation_path("convnet"), *(folder / "results/figures/images").glob("*dm*")]
    assert all(str(path.relative_to(folder) if path.is_absolute() else path) in listed.output for path in expected)
    assert all((folder / path).exists() for path in expected), "listing removes nothing"
    assert "random" not in listed.output
    assert CliRunner().invoke(main, [*named, "--remove"]).exit_code == 0
    assert not any((folder / path).exists() for path in expected)
    assert (folder / "results/distilled/digits/random/ipc1/seed0.h5").exists()
    assert "Nothing to remove." in CliRunner().invoke(main, named).output


def test_prune_keeps_the_checkpoints_of_a_cell_that_is_not_done(folder):
    fingerprint = plan(folder).distilled_fingerprint(DM)
    for name in (fingerprint, "0" * 32):
        (folder / DM.checkpoint_folder / name).mkdir(parents=True)
        (folder / DM.checkpoint_folder / name / "1.ckpt").write_bytes(b"")
    assert DM.checkpoint_folder / fingerprint in orphans(plan(folder)), "the cell is done"
    (folder / DM.distilled_path).unlink()
    found = orphans(plan(folder))
    assert DM.checkpoint_folder / fingerprint not in found
    assert DM.checkpoint_folder / ("0" * 32) in found
    with job_lock(folder / DM.running_path("distill").with_suffix(".lock")):
        assert DM.checkpoint_folder / ("0" * 32) not in orphans(plan(folder)), "a job runs"
    remove_path(folder / DM.checkpoint_folder / ("0" * 32))
    assert (folder / DM.checkpoint_folder / fingerprint).exists()


def test_prune_removes_what_killed_processes_left_half_written(folder):
    """But not what was written a moment ago, which a running job may still be writing."""
    places = (
        "results/distilled/digits/dm/ipc1",
        "results/.cache/evaluation",
        "results/tables",
        "results/.cache/running",
    )
    paths = [folder / place / ".tmp-abc-seed0.h5" for place in places]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    assert [path for path in orphans(plan(folder)) if path.name.startswith(".tmp-")] == []
    for path in paths:
        os.utime(path, (time.time() - 4000, time.time() - 4000))
    found = [path for path in orphans(plan(folder)) if path.name.startswith(".tmp-")]
    assert sorted(found) == sorted(path.relative_to(folder) for path in paths)
    for path in found:
        remove_path(folder / path)
    assert orphans(plan(folder)) == []


def test_a_job_removes_what_its_killed_predecessor_left_half_written(folder):
    """In its own places alone: another seed's file may be in the making."""
    (folder / DM.distilled_path).unlink()
    (folder / DM.evaluation_path("convnet")).unlink()
    fingerprint = plan(folder).distilled_fingerprint(DM)
    left = [
        folder / DM.distilled_path.parent / ".tmp-abc-seed0.h5",
        folder / DM.checkpoint_folder / fingerprint / ".tmp-abc-000000001.ckpt",
        folder / DM.evaluation_path("convnet").parent / ".tmp-abc-convnet.json",
        folder / DM.running_path("distill").parent / ".tmp-abc-distill.json",
        folder / DM.running_path("convnet").parent / ".tmp-abc-convnet.json",
    ]
    other = folder / DM.distilled_path.parent / ".tmp-abc-seed1.h5"
    for path in (*left, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    Project(folder).snakemake(str(DM.evaluation_path("convnet")))
    assert [path for path in left if path.exists()] == []
    assert other.exists()


def test_prune_offers_networks_of_other_settings(folder):
    changed = plan(folder, methods={"dm": {"evaluation": {"epochs": 2}}})
    assert not [path for path in orphans(changed) if "evaluation" in path.parts and ".cache" in path.parts]
    found = [path for path in orphans(changed, records=True) if ".cache" in path.parts]
    record = plan(folder).record_fingerprint(DM, "convnet")
    assert record in {path.name for path in found}
    free = PurePath(FREE_RECORDS) / record
    (folder / free).mkdir(parents=True)
    assert free in orphans(changed, records=True)
    assert free not in orphans(plan(folder), records=True)


def test_a_lock_is_seen_while_it_is_held(tmp_path):
    path = tmp_path / "a.lock"
    assert not is_held(path)
    with job_lock(path) as waited:
        assert not waited
        assert is_held(path)
    assert not is_held(path)
