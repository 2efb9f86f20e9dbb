"""How this process gets memory from the system."""

from __future__ import annotations

import ctypes
import platform

# mallopt(3), in glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_TOP_PAD_BYTES = 64 * 1024 * 1024


def keep_freed_memory() -> bool:
    """Keep freed memory for the next tensor instead of giving it back to the system; whether the C library could be told.

    Otherwise glibc maps and unmaps every large tensor, and the operating system clears its pages each time, which can take a
    third of a small distillation (docs/speed.md). The peak memory of the process does not change; between peaks it keeps
    what it has until :func:`give_back_freed_memory`.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, _TOP_PAD_BYTES))
    done = [mallopt(option, value) for option, value in wanted]
    return done == [1] * len(wanted)


def give_back_freed_memory() -> None:
    """Give the pages of freed memory back to the system, where the C library can.

    Freed memory lies in gaps between what is kept, and not every gap is used again: a queue of 100 networks of 15 MB with
    their momenta leaves 1.1 GB of gaps as it fills. Do not call this in every iteration: the system must clear the pages
    that are used next.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
