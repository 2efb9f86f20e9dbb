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

    Otherwise glibc maps and unmaps every large tensor, and the kernel clears its pages again each time: of a BACON
    distillation of the digits (IPC 1) that is a third of the time on one core (27.7 s against 18.8 s). The peak of the
    process stays what it is; between peaks it keeps what it has, until :func:`give_back_freed_memory`.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, _TOP_PAD_BYTES))
    done = [mallopt(option, value) for option, value in wanted]
    return done == [1] * len(wanted)


def give_back_freed_memory() -> None:
    """Give the pages of freed memory back to the system, where the C library can.

    What is freed lies in holes between what is kept, and not every hole is used again: a queue of 100 networks of 15 MB with
    their momenta, as it fills, leaves 1.1 GB of them. Not for every iteration: the kernel clears again what is used next.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
