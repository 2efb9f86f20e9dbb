"""Which device a job computes on: one free GPU, held by an OS file lock that dies with the process, or the CPU."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from bacon.runtime.errors import BaconError
from bacon.runtime.job_lock import check_has_locks
from bacon.runtime.logs import get_logger
from bacon.runtime.memory import keep_freed_memory

log = get_logger(__name__)

_POLL_SECONDS = 0.5
_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
_CUBLAS_WITH_AN_ORDER = (":4096:8", ":16:8")
"""With a workspace of its own for each stream, cuBLAS sums in one order; PyTorch's notes on reproducibility."""


def lock_folder() -> Path:
    """Where the locks lie: one folder for all users of this machine, or ``BACON_LOCK_DIR``."""
    return Path(os.environ.get("BACON_LOCK_DIR", Path(tempfile.gettempdir()) / "bacon-device-locks"))


@contextmanager
def lease_device(choice: str = "auto", *, jobs_per_gpu: int = 1, log_seconds: float = 30.0) -> Iterator[torch.device]:
    """Yield the device for this job, held until the context ends.

    Args:
        choice: ``cpu``, ``cuda`` or ``auto`` (a GPU if there is one).
        jobs_per_gpu: jobs that may share one GPU.
        log_seconds: seconds between log lines while every GPU is taken.

    Raises:
        BaconError: ``cuda`` was asked for and there is no usable GPU.
    """
    if job := os.environ.get("SLURM_JOB_ID"):
        assigned = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
        log.info("SLURM job %s on %s, assigned devices: %s", job, platform.node(), assigned)
    if choice == "cuda" and not torch.cuda.is_available():
        raise BaconError("run.device = 'cuda', but PyTorch sees no GPU here; use auto or cpu, or check the driver")
    if choice == "cpu" or not torch.cuda.is_available():
        log.info("device: CPU, %d threads", torch.get_num_threads())
        yield torch.device("cpu")
    elif os.environ.get("SLURM_JOB_ID"):
        # The scheduler's own assignment: the job sees only its devices.
        log.info("device: %s, assigned by SLURM", torch.cuda.get_device_name(0))
        yield torch.device("cuda", 0)
    else:
        keys = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
        with lease_key(keys, jobs_per_key=jobs_per_gpu, log_seconds=log_seconds) as index:
            log.info("device: cuda:%d, %s", index, torch.cuda.get_device_name(index))
            torch.cuda.set_device(index)
            yield torch.device("cuda", index)


@contextmanager
def lease_key(keys: list[str], *, jobs_per_key: int = 1, log_seconds: float) -> Iterator[int]:
    """Hold a lock of the first free key and yield its position; wait, with a log line, while all are taken.

    With several jobs per key, every key is given once before any is given twice.

    Raises:
        BaconError: the file system of :func:`lock_folder` has no locks; ``BACON_LOCK_DIR`` names another folder.
    """
    folder = lock_folder()
    _open_to_all_users(folder)
    slots = [
        (position, folder / f"{key}.{slot}.lock") for slot in range(jobs_per_key) for position, key in enumerate(keys)
    ]
    last = -float("inf")
    while True:
        for position, path in slots:
            lock = FileLock(path, mode=0o666)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            except OSError as error:
                check_has_locks(path, error, advice="Set BACON_LOCK_DIR to a folder on another disk")
                raise
            try:
                yield position
            finally:
                lock.release()
            return
        if time.monotonic() - last >= log_seconds:
            last = time.monotonic()
            log.info("waiting for a device: all %d are in use by other jobs", len(keys))
        time.sleep(_POLL_SECONDS)


def _open_to_all_users(folder: Path) -> None:
    """Make the folder of locks, in which every user of the machine takes part.

    Without the sticky bit: with it, the kernel (fs.protected_regular) keeps a user from opening another user's lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid == os.getuid():
        folder.chmod(0o777)


def device_name(device: torch.device) -> str:
    """Readable name of a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({_cpu_model()})"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown model"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown model")


def set_up_arithmetic(threads: int, *, deterministic: bool = True) -> None:
    """CPU threads, full float32 but where a network asks for less (``bacon.networks.arithmetic``), and the order of sums.

    It is called before the first use of a GPU: cuBLAS reads its setting once.

    Args:
        threads: CPU threads, the same whatever the machine has.
        deterministic: on a GPU, equal bits in every run (``run.deterministic``); an operation without a form of fixed order is
            an error. Otherwise cuDNN times its kernels and takes the fastest. A CPU always gives equal bits.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic and os.environ.get(_CUBLAS) not in _CUBLAS_WITH_AN_ORDER:
        os.environ[_CUBLAS] = _CUBLAS_WITH_AN_ORDER[0]
    # New memory would be filled with NaN first, for code that reads what nobody wrote: a pass over every result.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # torch.use_deterministic_algorithms does the same, but imports PyTorch's compiler, in seconds.
    torch.set_deterministic_debug_mode("error" if deterministic and torch.cuda.is_available() else "default")


def is_deterministic(device: torch.device) -> bool:
    """Whether what is computed on ``device`` has the same bits in every run, as :func:`set_up_arithmetic` was told."""
    return device.type == "cpu" or torch.are_deterministic_algorithms_enabled()
