"""The device lease with simulated devices and real processes: exclusive, freed by kill -9, across users."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HOLD = """
import os
import sys
sys.path.insert(0, sys.argv[1])
from bacon.runtime.devices import lease_key
from bacon.runtime.logs import set_up_logging
set_up_logging()
if sys.argv[4]:
    os.setuid(int(sys.argv[4]))
with lease_key(sys.argv[3].split(","), jobs_per_key=int(sys.argv[2]), log_seconds=60) as position:
    print(position, flush=True)
    sys.stdin.readline()
"""


class Holder:
    """A process that leases a key and holds it until it is told to end, or killed."""

    def __init__(self, folder, keys="gpu-a,gpu-b", *, jobs=1, user=None):
        environment = os.environ | {"BACON_LOCK_DIR": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(ROOT), str(jobs), keys, str(user or "")], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def position(self):
        """Which key it got; waits until it has one."""
        return int(self.process.stdout.readline())

    def end(self):
        """Let it end well; what it logged."""
        return self.process.communicate("\n", timeout=60)[1]


@pytest.fixture
def start(tmp_path):
    started = []

    def make(**arguments):
        started.append(Holder(tmp_path / "locks", **arguments))
        return started[-1]

    yield make
    for holder in started:
        holder.process.kill()
        holder.process.communicate()


def test_two_jobs_get_two_devices_a_third_waits_with_a_line_and_kill_frees_one(start):
    first, second = start(), start()
    positions = [first.position(), second.position()]
    assert sorted(positions) == [0, 1]
    third = start()
    assert "waiting for a device: all 2 are in use" in third.process.stderr.readline()
    assert third.process.poll() is None
    os.kill(second.process.pid, signal.SIGKILL)
    assert third.position() == positions[1]
    first.end()


def test_a_device_is_shared_only_when_asked_and_every_device_is_given_once_first(start):
    holders = [start(jobs=2) for _ in range(4)]
    first = sorted([holders[0].position(), holders[1].position(), holders[2].position(), holders[3].position()])
    assert first == [0, 0, 1, 1]
    fifth = start(jobs=2)
    assert "waiting for a device" in fifth.process.stderr.readline()


def test_one_after_another_takes_the_first_free_device(start):
    first = start()
    assert first.position() == 0
    second = start()
    assert second.position() == 1
    first.end()
    assert start().position() == 0


def test_other_visible_devices_are_other_locks(start):
    """CUDA_VISIBLE_DEVICES decides which keys a process sees; the same device has the same key whatever its number."""
    assert start(keys="gpu-b").position() == 0
    assert start(keys="gpu-a,gpu-b").position() == 0
    waiting = start(keys="gpu-b,gpu-a")
    assert "waiting for a device" in waiting.process.stderr.readline()


@pytest.fixture
def open_folder():
    """A folder that every user may enter: pytest's own are its user's alone, and every start of pytest closes them again."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_users_of_one_machine_share_the_locks(open_folder):
    """As root, the second process becomes another user; otherwise one user holds both ends."""
    other = 65534 if os.getuid() == 0 else None
    mine = Holder(open_folder / "locks", "gpu-a")
    assert mine.position() == 0
    assert oct((open_folder / "locks").stat().st_mode)[-4:] == "0777", "the sticky bit would lock other users out"
    theirs = Holder(open_folder / "locks", "gpu-a", user=other)
    assert "waiting for a device" in theirs.process.stderr.readline()
    mine.end()
    assert theirs.position() == 0
    theirs.end()


def test_a_stopped_waiter_leaves_nothing_behind(start):
    first = start(keys="gpu-a")
    first.position()
    waiting = start(keys="gpu-a")
    waiting.process.stderr.readline()
    waiting.process.kill()
    first.end()
    begun = time.monotonic()
    assert start(keys="gpu-a").position() == 0
    assert time.monotonic() - begun < 60
