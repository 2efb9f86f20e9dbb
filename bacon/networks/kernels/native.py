"""Compiles small C sources for this CPU when they are first needed, and keeps the result for later jobs.

Half a second with GCC or Clang, once per source, compiler and kind of CPU. Where there is no C compiler, callers do the
same in PyTorch.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from bacon.runtime.atomic import atomic_path
from bacon.runtime.logs import get_logger

log = get_logger(__name__)

# -march=native: for this CPU alone, hence the CPU in the name of the file. No -ffast-math: NaN must stay NaN.
_FLAGS = ("-O3", "-march=native", "-fopenmp", "-fPIC", "-shared")
_SECONDS = 120


def load(name: str, source: str) -> ctypes.CDLL | None:
    """The library made of C ``source``, or ``None``, with a log line that says why, where it cannot be made.

    Args:
        name: what it is called in the cache folder and in the log.
        source: C, with OpenMP; its text, the compiler and the CPU are the key of the cache.
    """
    compiler = shutil.which(os.environ.get("CC") or "cc")
    if compiler is None:
        log.info("no C compiler (cc) here: %s runs in PyTorch, which is slower on the CPU", name)
        return None
    try:
        path = cache_folder() / f"{name}-{_key(source, compiler)}.so"
        if not path.is_file():
            _compile(compiler, source, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        log.info("%s runs in PyTorch, which is slower on the CPU: %s cannot compile it (%s)", name, compiler, error)
        return None


def cache_folder() -> Path:
    """Where compiled libraries are kept: the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bacon-distillation"


def _key(source: str, compiler: str) -> str:
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=True, timeout=_SECONDS
    ).stdout
    return hashlib.sha256("\0".join((source, version, *_FLAGS, _cpu())).encode()).hexdigest()[:16]


def _cpu() -> str:
    """What ``-march=native`` depends on; a home folder may be shared by machines that differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    first = {line.partition(":")[0].strip(): line for line in reversed(lines)}
    return "\n".join(first.get(key, "") for key in ("model name", "flags", "Features"))


def _compile(compiler: str, source: str, path: Path) -> None:
    with atomic_path(path) as temporary:
        command = [compiler, *_FLAGS, "-x", "c", "-", "-o", str(temporary), "-lm"]
        subprocess.run(command, input=source, capture_output=True, text=True, check=True, timeout=_SECONDS)
