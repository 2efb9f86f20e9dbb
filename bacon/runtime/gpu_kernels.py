"""Whether kernels of this project can be used on the GPU that is there."""

from __future__ import annotations

from collections.abc import Callable

from bacon.runtime.logs import get_logger
from bacon.runtime.user_cache import keep_triton_kernels

log = get_logger(__name__)


def can_run(run: Callable[[], object], *, name: str, instead: str) -> bool:
    """Whether kernels compile and run; where they do not, a line in the log says why. To be asked once for each kind.

    Args:
        run: runs each of them once. It imports Triton, which then keeps what it compiles in the user's cache for later jobs.
        name: of the kernels, for the log.
        instead: what is used where they cannot be.
    """
    keep_triton_kernels()
    try:
        run()
    except Exception as error:  # whatever a compiler, a driver or a missing package raise
        log.info("%s cannot be used (%s); using %s", name, error, instead)
        return False
    return True
