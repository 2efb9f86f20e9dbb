"""Compiles C sources for this CPU when they are first needed, and keeps the result for later jobs.

A few seconds with GCC or Clang, once per source, compiler and kind of CPU. Where there is no C compiler, callers do the same in
PyTorch.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from bacon.runtime.atomic import atomic_path
from bacon.runtime.logs import get_logger
from bacon.runtime.user_cache import user_cache

log = get_logger(__name__)

# -march=native: only for this CPU, hence the CPU in the name of the file. No -ffast-math: NaN must stay NaN.
_FLAGS = ("-O3", "-march=native", "-fopenmp", "-fPIC", "-shared")
_SECONDS = 120


def sources(*names: str) -> dict[str, str]:
    """Name -> text of C files that lie beside this module and ship with the package."""
    folder = resources.files("bacon.networks.kernels")
    return {name: folder.joinpath(name).read_text(encoding="utf-8") for name in names}


def load(name: str, files: Mapping[str, str], constants: Mapping[str, int]) -> ctypes.CDLL | None:
    """The library made of C ``files``, or ``None``, with a log line that says why, where it cannot be made.

    Args:
        name: what it is called in the cache folder and in the log.
        files: name -> C, with OpenMP; the first is compiled and may include the others. With the constants, the compiler and
            the CPU they are the key of the cache.
        constants: defined for the preprocessor.
    """
    compiler = shutil.which(os.environ.get("CC") or "cc")
    if compiler is None:
        log.info("no C compiler (cc) found: %s runs in PyTorch, which is slower on the CPU", name)
        return None
    try:
        flags = (*_FLAGS, *(f"-D{constant}={value}" for constant, value in constants.items()))
        path = user_cache() / f"{name}-{_key(files, compiler, flags)}.so"
        if not path.is_file():
            _compile(compiler, flags, files, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        log.info("%s runs in PyTorch, which is slower on the CPU: %s cannot compile it (%s)", name, compiler, error)
        return None


def _key(files: Mapping[str, str], compiler: str, flags: tuple[str, ...]) -> str:
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=True, timeout=_SECONDS
    ).stdout
    return hashlib.sha256("\0".join((*files, *files.values(), version, *flags, _cpu())).encode()).hexdigest()[:16]


def _cpu() -> str:
    """What ``-march=native`` depends on; a home folder may be shared by machines that differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    first = {line.partition(":")[0].strip(): line for line in reversed(lines)}
    return "\n".join(first.get(key, "") for key in ("model name", "flags", "Features"))


def _compile(compiler: str, flags: tuple[str, ...], files: Mapping[str, str], path: Path) -> None:
    with TemporaryDirectory() as folder, atomic_path(path) as temporary:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        command = [compiler, *flags, next(iter(files)), "-o", str(temporary.absolute()), "-lm"]
        subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=_SECONDS)
