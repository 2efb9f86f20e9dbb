"""One process at a time computes an artifact; the others say whom they wait for."""

import errno
import os

import pytest
from filelock import FileLock

from bacon.runtime.devices import lease_key
from bacon.runtime.errors import BaconError
from bacon.runtime.job_lock import free_job_lock, is_held, job_lock


def test_who_holds_a_lock_is_said_once_and_waited_for(tmp_path, monkeypatch, caplog):
    path, slept = tmp_path / "new" / "a.lock", []
    other = free_job_lock(path)
    assert other.__enter__()

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            other.__exit__(None, None, None)

    monkeypatch.setattr("bacon.runtime.job_lock.time.sleep", sleep)
    with caplog.at_level("INFO"), job_lock(path) as waited:
        assert waited
        assert len(slept) == 3
        assert is_held(path)
    (record,) = caplog.records
    assert f"process {os.getpid()})" in record.message


def fail(lock, path):
    with lock(path):
        raise ValueError("of the job")


@pytest.mark.parametrize("lock", [job_lock, free_job_lock])
def test_an_error_lets_a_lock_go(lock, tmp_path, monkeypatch):
    """Whoever still refers to it: a lock that nobody refers to is let go anyway."""
    path, taken = tmp_path / "a.lock", []
    monkeypatch.setattr("bacon.runtime.job_lock.FileLock", lambda path: taken.append(FileLock(path)) or taken[-1])
    with pytest.raises(ValueError, match="of the job"):
        fail(lock, path)
    assert len(taken) == 1
    assert not is_held(path)


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "denied"), OSError(errno.EROFS, "read-only")])
def test_a_lock_that_may_only_be_read_is_seen_too(tmp_path, monkeypatch, error):
    """Of another user, or of results on a disk that cannot be written."""
    path = tmp_path / "a.lock"

    def refused(_):
        raise error

    with job_lock(path):
        monkeypatch.setattr("bacon.runtime.job_lock.FileLock", refused)
        assert is_held(path)
    assert not is_held(path)


def enter(context):
    with context:
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, number):
    """As NFS without its lock service answers; the system's error names no file."""

    def refused(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("filelock._unix.fcntl.flock", refused)
    monkeypatch.setenv("BACON_LOCK_DIR", str(tmp_path))
    for lock, advice in (
        (job_lock(tmp_path / "a.lock"), "Use a folder on another disk"),
        (free_job_lock(tmp_path / "a.lock"), "Use a folder on another disk"),
        (lease_key(["a.0"], log_seconds=1.0), "Set BACON_LOCK_DIR to a folder on another disk"),
    ):
        with pytest.raises(BaconError, match=rf"/a\..*lock: this file system has no file locks \(.*{advice}"):
            enter(lock)
    assert not is_held(tmp_path / "a.lock")
