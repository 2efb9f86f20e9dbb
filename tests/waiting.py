"""Waiting for what other processes do: for a state, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], seconds: float = 240) -> Found:
    """The first true value of ``condition()``; an error when there is none for so long that there will be none."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing after {seconds} s")
