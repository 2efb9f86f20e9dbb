"""Freed memory stays in a process until it is given back."""

import platform
import subprocess
import sys

_CODE = """
import re
import numpy as np
from bacon.runtime.memory import give_back_freed_memory, keep_freed_memory

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024

kept = keep_freed_memory()
blocks = [np.ones(2**20, dtype=np.uint8) for _ in range(400)]
full = resident()
blocks[:-1] = [None] * 399  # the last one keeps the holes below it from being the top of the heap
freed = resident()
give_back_freed_memory()
print(kept, full - freed, freed - resident(), int(blocks[-1].sum()))
"""


def test_freed_memory_is_kept_until_it_is_given_back():
    run = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    kept, at_once, given_back, last = run.stdout.split()
    assert last == str(2**20)
    if platform.libc_ver()[0] == "glibc":
        assert kept == "True"
        assert abs(int(at_once)) < 40
        assert int(given_back) > 350
