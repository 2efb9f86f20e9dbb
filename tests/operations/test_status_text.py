"""What `bacon status` says below its table, and how the commands answer a terminal and options that do not fit."""

import pytest
from click.testing import CliRunner

from bacon.cli import main
from bacon.commands.status import summary_line
from bacon.operations.job_status import Job, Status


def job(state, seconds):
    return Job(stage="distill", name="digits/dm/ipc1/seed0", network="", state=state, seconds_left=seconds)


def test_a_line_counts_jobs_and_says_what_is_left():
    left = Status([job("done", 0), job("waiting", 60), job("waiting", 12)])
    assert summary_line(left) == "3 jobs: 1 done, 2 waiting. About 72 s of computing time left."
    running = Status([job("running", 7200), job("running", 7200)], training_bytes=2_600_000)
    assert summary_line(running) == (
        "2 jobs: 2 running. About 4.0 h of computing time left, 2.0 h with 2 at a time. Networks trained on real sets take "
        "2.6 MB on the disk."
    )
    assert summary_line(Status([job("done", 0)])) == "1 jobs: 1 done."


def test_a_time_by_assumed_rates_says_so():
    line = summary_line(Status([job("waiting", 60)], measured=False, assumed_device="a CPU thread"))
    assert line.endswith(
        "About 60 s of computing time left, by an assumed rate of a CPU thread until the first job is done here."
    )


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf"])
def test_a_pause_that_is_no_length_of_time_is_refused(seconds):
    found = CliRunner().invoke(main, ["status", "--watch", "--seconds", seconds])
    assert (found.exit_code, found.stdout) == (2, "")
    assert "'--seconds': " + f"{seconds} is not a number of seconds from 0 to 86400" in found.stderr


def test_a_terminal_whose_encoding_lacks_a_sign_gets_all_the_others():
    found = CliRunner(charset="latin-1").invoke(main, ["reference"])
    assert found.exit_code == 0, found.exception
    assert "\\u2265" in found.output


def test_a_report_cannot_be_written_over_a_folder(tmp_path):
    """It is said at once, not after the minutes that a report takes."""
    found = CliRunner().invoke(main, ["report", "--output", str(tmp_path)])
    assert (found.exit_code, found.stdout) == (2, "")
    assert "is a directory" in found.stderr
