"""Loss terms per iteration, kept on the device and read back rarely, so that the loop never waits for the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.runtime.errors import BaconError

_CHECK_INTERVAL = 100


class History:
    """One row of terms per iteration.

    Args:
        names: the terms.
        iterations: rows.
        device: where the rows are kept.
    """

    def __init__(self, names: tuple[str, ...], iterations: int, *, device: torch.device) -> None:
        self.names = names
        self.values = torch.full((iterations, len(names)), float("nan"), device=device)
        self._checked = self._recorded = 0

    def record(self, iteration: int, terms: Mapping[str, Tensor]) -> None:
        """Store the terms (0-d tensors) of an iteration; every so often check that they are finite."""
        self.values[iteration] = torch.stack([terms[name].detach().to(torch.float32) for name in self.names])
        self._recorded = iteration + 1
        if self._recorded - self._checked >= _CHECK_INTERVAL:
            self.check()

    def check(self) -> None:
        """Raise :class:`BaconError` naming the first iteration and terms that are not finite."""
        rows = self.values[self._checked : self._recorded].cpu()
        bad = ~rows.isfinite()
        if bool(bad.any()):
            row = int(bad.any(dim=1).nonzero()[0, 0])
            terms = ", ".join(f"{name} = {float(rows[row, column])}" for column, name in enumerate(self.names))
            raise BaconError(
                f"iteration {self._checked + row}: the loss is not finite ({terms}); lower the method's "
                "learning rate (lr_img) or the weights of its loss (ce_weight), or check the normalisation of the data set"
            )
        self._checked = self._recorded

    def state_dict(self) -> dict[str, Any]:
        """The rows recorded so far."""
        return {"values": self.values[: self._recorded].clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the rows of :meth:`state_dict`; they were checked when they were recorded."""
        rows: Tensor = state["values"]
        self.values[: len(rows)] = rows
        self._checked = self._recorded = len(rows)

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Term -> (T,) float32 for the iterations recorded."""
        rows = self.values[: self._recorded].cpu().numpy()
        return {name: rows[:, column].copy() for column, name in enumerate(self.names)}
