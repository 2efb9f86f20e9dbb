"""Where a result came from: versions, commit, device, host, memory."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacon._version import __version__
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    import torch

_PACKAGES = ("torch", "torchvision", "numpy", "h5py")
_OWN_PACKAGE = "bacon-distillation"


@lru_cache(maxsize=1)
def commit() -> str:
    """The commit of the source tree with ``-dirty`` when it has changes, or ``unknown`` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def installed_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Package -> version; raises :class:`BaconError` for one that is not installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            raise BaconError(
                f"stale_on_upgrade: no package {name!r} is installed here; name packages as `pip list` does, such as torch"
            ) from None
    return found


def provenance(device: str, *, deterministic: bool) -> dict[str, Any]:
    """Versions, commit, host and device of this process, ready for JSON.

    Args:
        device: a device's readable name.
        deterministic: whether it gives the same bits in every run (``bacon.runtime.devices.is_deterministic``).
    """
    return {
        # The version of this code itself: it need not be installed, as in a checkout or in an environment that Snakemake makes.
        "packages": installed_versions(_PACKAGES) | {_OWN_PACKAGE: __version__},
        "python": platform.python_version(),
        "commit": commit(),
        "device": device,
        "deterministic": deterministic,
        "host": platform.node(),
        "cpus": os.cpu_count(),
        "threads": _torch_threads(),
    }


def _torch_threads() -> int | None:
    torch_module = sys.modules.get("torch")
    return int(torch_module.get_num_threads()) if torch_module is not None else None


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory so far: allocated on the GPU, or the resident set of this process on the CPU."""
    if device.type == "cuda":
        return int(sys.modules["torch"].cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
