"""Run pytest with an emulated GPU: ``python -m tests.emulated_gpu [arguments of pytest]``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("cuda_runtime.c")
ROOT = SOURCE.parents[2]


def environment(folder: Path) -> dict[str, str]:
    """The environment in which PyTorch finds the library of :data:`SOURCE`, compiled in ``folder``."""
    driver = folder / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", driver, SOURCE], check=True)
    paths = [str(folder), os.environ.get("LD_LIBRARY_PATH", "")]
    return os.environ | {"LD_PRELOAD": str(driver), "LD_LIBRARY_PATH": ":".join(filter(None, paths))}


def run(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run pytest; what it writes is in the result, unless ``options`` say otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-p", "tests.emulated_gpu.plugin", *arguments]
        options = {"capture_output": True, "text": True} | options
        return subprocess.run(command, cwd=ROOT, env=environment(Path(folder)), check=False, **options)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], capture_output=False).returncode)
