"""The plugin of pytest that puts the emulated GPU in place, for all tests of a process; a race in a test is its failure.

Kernels of the matching are taken as on a GPU, and are PyTorch's operations; in the place of all others are PyTorch's layers.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest

from bacon.networks.kernels import pooling
from benchmarks.plain_kernels import PLAIN
from tests.emulated_gpu.cuda import emulated_gpu
from tests.emulated_gpu.tensors import EmulatedGpu, OnGpu

_SHOWN = 6
_stack = ExitStack()
_gpu = _stack.enter_context(emulated_gpu())
_is_plain = pooling.is_plain
for _module, _functions in PLAIN.items():
    _stack.enter_context(patch.multiple(_module, _compile=lambda *_: None, **_functions))
pooling.is_plain = lambda tensor: _is_plain(tensor) or type(tensor) is OnGpu


def pytest_configure(config: pytest.Config) -> None:
    """Tests find the device."""
    config.stash[EmulatedGpu.here] = _gpu


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Fixtures that clear the races of a test have had their turn."""
    yield
    races = sorted(_gpu.order.races)
    _gpu.order.races.clear()
    shown = "\n".join(races[:_SHOWN])
    assert not races, f"{len(races)} uses of memory that nothing orders, such as\n{shown}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was seen of the device."""
    terminalreporter.write_line(f"emulated GPU: {_gpu.graphs} graphs recorded, {_gpu.replays} replays")


def pytest_unconfigure() -> None:
    """PyTorch as it was."""
    _stack.close()
