"""Where compiled code is kept from one job to the next."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """The folder of this project in the user's cache; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bacon-distillation"


def keep_triton_kernels() -> None:
    """Triton keeps its compiled kernels there, unless the user says otherwise; it asks when it is imported."""
    os.environ.setdefault("TRITON_CACHE_DIR", str(user_cache() / "triton"))
