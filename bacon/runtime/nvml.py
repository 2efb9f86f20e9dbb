"""The energy counter of an NVIDIA GPU, through NVIDIA's own binding of NVML (the package ``nvidia-ml-py``).

PyTorch reads a GPU's momentary power through the same package, but not its counter of energy, which needs no sampling.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any


class Nvml:
    """One GPU; Volta and newer count their energy, in millijoules.

    Args:
        library: the module ``pynvml``, initialised.
        handle: NVML's handle of the GPU.

    Raises:
        NVMLError: the GPU does not tell its energy.
    """

    source = "NVML"

    def __init__(self, library: ModuleType, handle: Any) -> None:
        self._library, self._handle = library, handle
        self._from = self._last = library.nvmlDeviceGetTotalEnergyConsumption(handle)
        self._seen = self._own = 0.0

    def read(self) -> tuple[float, float | None]:
        """Joules since the counter was made, and the mean of 1 / (processes that compute on the GPU), weighted by the joules.

        Raises:
            OSError: the GPU does not tell its energy any more.
        """
        try:
            now = self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except self._library.NVMLError as error:
            raise OSError(str(error)) from None
        taken, self._last = now - self._last, now
        # Before this job's first use of the GPU nobody may be there; a container may never be told who is.
        if count := self._processes():
            self._seen, self._own = self._seen + taken, self._own + taken / count
        return (now - self._from) / 1000, self._own / self._seen if self._seen > 0 else None

    def _processes(self) -> int:
        try:
            return len(self._library.nvmlDeviceGetComputeRunningProcesses(self._handle))
        except self._library.NVMLError:
            return 0


def find_nvml(uuid: str) -> Nvml | str:
    """The counter of a GPU, or why there is none.

    Args:
        uuid: of the GPU, as PyTorch gives it: NVML numbers GPUs otherwise than a process that sees some of them.
    """
    try:
        import pynvml
    except ImportError:
        return "the package nvidia-ml-py, which reads a GPU's counter, is not installed"
    try:
        pynvml.nvmlInit()
        return Nvml(pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}"))
    except pynvml.NVMLError as error:
        return f"the GPU does not tell it ({error})"
