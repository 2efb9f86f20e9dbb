"""`bacon status --watch` goes on while somebody computes, and ends when nobody does."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from snakemake.persistence.file import FilePersistence

from bacon.cli import main
from bacon.operations.job_status import Job, Status
from bacon.operations.snakemake_internals import is_locked
from bacon.operations.watching import Watch


def states(**counts):
    return Status(
        [
            Job(stage="distill", name=f"digits/dm/ipc1/seed{number}", network="", state=state)
            for state, count in counts.items()
            for number in range(count)
        ]
    )


@pytest.fixture
def watch(tmp_path):
    time = SimpleNamespace(now=0.0)
    watch = Watch(tmp_path, patience=60.0, clock=lambda: time.now)

    def look(now, **counts):
        time.now = now
        return watch.look(states(**counts))

    return SimpleNamespace(look=look, watch=watch, locks=tmp_path / ".snakemake" / "locks")


def test_it_ends_when_nothing_has_run_or_changed_for_long(watch):
    assert watch.look(0, waiting=3, done=1) == ""
    assert watch.look(59, waiting=3, done=1) == ""
    assert not watch.watch.is_over
    words = watch.look(61, waiting=2, failed=1, done=1)
    assert (words, watch.watch.is_over) == ("", False)  # a change
    words = watch.look(125, waiting=2, failed=1, done=1)
    assert (
        words == "No job has run for 64 s, and no Snakemake does: 1 failed, 2 waiting. `snakemake` computes the rest."
    )
    assert watch.watch.is_over


def test_a_running_job_keeps_it_however_long_it_takes(watch):
    for now in range(0, 100_000, 10_000):
        assert watch.look(now, running=1, waiting=3) == ""
    assert not watch.watch.is_over


def test_jobs_in_a_queue_keep_it_and_are_told_of(watch):
    watch.locks.mkdir(parents=True)
    (watch.locks / "0.input.lock").touch()
    assert watch.look(0, waiting=3) == ""
    assert "(3 waiting), but Snakemake's lock is there: jobs wait in a queue" in watch.look(4000, waiting=3)
    assert not watch.watch.is_over
    (watch.locks / "0.input.lock").unlink()
    watch.look(4010, waiting=3)
    assert watch.watch.is_over


def test_the_lock_is_where_the_installed_snakemake_puts_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    persistence = FilePersistence()
    assert not is_locked(tmp_path)
    persistence._write_locks("output", ["results/a"])
    assert is_locked(tmp_path)
    persistence._delete_locks()
    assert not is_locked(tmp_path)


def test_the_command_ends_with_a_line_and_exit_code_1(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text(
        "preset: smoke\ngrid: {datasets: [digits], methods: [random], ipc: [1], seeds: 1}\n"
    )
    monkeypatch.setattr("bacon.operations.watching.PATIENCE", 0.0)
    found = CliRunner().invoke(main, ["status", "--watch", "--seconds", "0", "--config", "grid.yaml"])
    assert found.exit_code == 1
    assert "and no Snakemake does: " in found.output.splitlines()[-1]
