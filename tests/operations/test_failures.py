"""Why jobs failed, in one line each, from the events that Snakemake logs and the logs of the jobs."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

import pytest

from bacon.operations.failures import INTERRUPTED, JobReports, last_error, stop, warnings_in

INFO = "2026-01-01 00:00:00 INFO digits/dm: 100/2000 (5%), 3.1/s\n"
ERROR = "2026-01-01 00:00:01 ERROR {}\n"
TRACEBACK = """2026-01-01 00:00:02 CRITICAL uncaught exception
Traceback (most recent call last):
  File "a.py", line 3, in f
    g()
ValueError: the bad value

"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", ""),
        (INFO, ""),
        (INFO + ERROR.format("iteration 3: the loss is not finite"), "iteration 3: the loss is not finite"),
        (ERROR.format("first") + INFO + ERROR.format("second"), "second"),
        (INFO + TRACEBACK, "ValueError: the bad value"),
        (INFO * 2000 + ERROR.format("at the end of a long log"), "at the end of a long log"),
        (
            ERROR.format("photos: 1 file is no image:\n  a.png: broken\n") + INFO,
            "photos: 1 file is no image: a.png: broken",
        ),
        (ERROR.format("x" * 900), "x" * 500 + "..."),
        ("\xff\xfe\n" + ERROR.format("after odd bytes"), "after odd bytes"),
    ],
)
def test_the_reason_is_the_last_error_of_a_log(tmp_path, text, reason):
    path = tmp_path / "a.log"
    path.write_text(text, encoding="latin-1", errors="replace")
    assert last_error(path) == reason
    assert last_error(tmp_path / "none.log") == ""


@pytest.fixture
def logger():
    jobs, logger = JobReports(), logging.Logger("snakemake")
    logger.addHandler(jobs)
    logger.jobs = jobs
    return logger


def fail(logger: logging.Logger, number: int, name: str, error: str = "") -> None:
    log = Path(f"results/logs/{name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(INFO + (ERROR.format(error) if error else ""))
    logger.error("Error in rule", extra={"event": "job_error", "jobid": number, "rule_name": "r", "log": [str(log)]})


def test_each_failed_job_is_one_line(logger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert logger.jobs.lines() == []
    fail(logger, 1, "distill/digits/dm/ipc1/seed0", "iteration 3: lower lr_img")
    fail(logger, 2, "preprocess/mine", "mine/a.png: not an image")
    fail(logger, 3, "evaluate/digits/full/convnet")
    logger.info("Finished jobid: 2", extra={"event": "job_finished", "job_id": 2})
    logger.error("another message of Snakemake's")
    assert logger.jobs.lines() == [
        "Failed: distill/digits/dm/ipc1/seed0: iteration 3: lower lr_img (log: results/logs/distill/digits/dm/ipc1/seed0.log)",
        "Failed: evaluate/digits/full/convnet: it ended without an error message: stopped, out of memory, or the disk is full "
        "(log: results/logs/evaluate/digits/full/convnet.log)",
    ]


def test_a_job_that_a_scheduler_refused_is_not_said_to_have_ended(logger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fields = {"event": "job_error", "jobid": 1, "rule_name": "distill", "log": ["results/logs/distill/a.log"]}
    logger.error("SLURM sbatch failed", extra=fields)
    assert logger.jobs.lines() == [
        "Failed: distill/a: there is no log, as of a job that did not start; Snakemake says above what happened"
    ]


WARNINGS = """2026-01-01 00:00:00 WARNING photos: 8 files are not read: .jfif (8)
2026-01-01 00:00:01 INFO a line
2026-01-01 00:00:02 WARNING /lib/torch/a.py:12: UserWarning: of another package
  return f(x)
2026-01-01 00:00:03 WARNING photos: 8 files are not read: .jfif (8)
2026-01-01 00:00:04 WARNING it diverges:
  lower lr_img
"""


def test_warnings_of_finished_jobs_come_before_the_failures(logger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.log").write_text(WARNINGS)
    assert warnings_in(Path("a.log")) == ["photos: 8 files are not read: .jfif (8)", "it diverges: lower lr_img"]
    for number, name in ((1, "preprocess/mine"), (2, "preprocess/other")):  # the second does not finish
        log = Path(f"results/logs/{name}.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(WARNINGS)
        logger.info("a job", extra={"event": "job_info", "jobid": number, "rule_name": "preprocess", "log": [str(log)]})
    logger.info("Finished jobid: 1", extra={"event": "job_finished", "job_id": 1})
    fail(logger, 3, "distill/a", "b")
    assert logger.jobs.lines() == [
        "Warning: preprocess/mine: photos: 8 files are not read: .jfif (8)",
        "Warning: preprocess/mine: it diverges: lower lr_img",
        "Failed: distill/a: b (log: results/logs/distill/a.log)",
    ]


def finish(logger, number, name, text):
    """A job with ``text`` in its log starts and finishes."""
    log = Path(f"results/logs/{name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    logger.info("a job", extra={"event": "job_info", "jobid": number, "rule_name": "distill", "log": [str(log)]})
    logger.info("Finished", extra={"event": "job_finished", "job_id": number})


def test_a_warning_of_many_jobs_is_one_line_and_hides_no_other(logger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        finish(logger, number, f"robustness/{number}", "2026-01-01 00:00:00 WARNING PGD is weak\n")
    for number in (12, 13):
        finish(logger, number, f"distill/{number}", "2026-01-01 00:00:00 WARNING it diverges\n")
    finish(logger, 14, "distill/14", "2026-01-01 00:00:00 WARNING lower lr_img\n")
    assert logger.jobs.lines() == [
        "Warning: robustness/0 and 11 more jobs: PGD is weak",
        "Warning: distill/12 and 1 more job: it diverges",
        "Warning: distill/14: lower lr_img",
    ]


@pytest.mark.parametrize(
    "words",
    ["Terminating processes on user request, ...", "Will exit after finishing currently running jobs (scheduler)."],
)
def test_jobs_of_an_interrupted_run_were_stopped(logger, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    finish(logger, 0, "preprocess/digits", INFO)
    for number, name in ((1, "distill/a"), (2, "distill/b"), (3, "distill/c")):
        log = Path(f"results/logs/{name}.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(INFO)
        logger.info("a job", extra={"event": "job_info", "jobid": number, "rule_name": "distill", "log": [str(log)]})
    fail(logger, 1, "distill/a")  # of the second Snakemake tells nothing more
    fail(logger, 3, "distill/c", "iteration 3: lower lr_img")
    assert not any(line.startswith("Stopped") for line in logger.jobs.lines()), "the run goes on"
    logger.info(words)
    assert logger.jobs.lines() == [
        "Stopped: distill/a and 1 more job: the run was interrupted; the same command goes on where it ended",
        "Failed: distill/c: iteration 3: lower lr_img (log: results/logs/distill/c.log)",
    ]


def test_snakemake_still_says_so_when_it_is_interrupted():
    import snakemake.api  # noqa: F401 - first: Snakemake's modules import each other
    from snakemake.scheduling.job_scheduler import JobScheduler

    assert [words for words in INTERRUPTED if words not in inspect.getsource(JobScheduler.schedule)] == []


def test_many_failures_and_groups_are_cut(logger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    group = [{"jobid": number, "rule_name": "distill", "log": None} for number in range(14)]
    logger.error("Error in group", extra={"event": "group_error", "job_error_info": group})
    lines = logger.jobs.lines()
    assert len(lines) == 11
    assert lines[0].startswith("Failed: distill: ")
    assert lines[-1] == "and 4 more failed jobs: `bacon status` lists them"


def test_a_bad_configuration_is_the_last_line(capsys):
    with pytest.raises(SystemExit) as ended:
        stop("grid.ipc = 'a': must be a number")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "Error: grid.ipc = 'a': must be a number\n"
