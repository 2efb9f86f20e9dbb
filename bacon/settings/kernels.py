"""Settings of methods that learn by regression with a kernel. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bacon.settings.base import Strict


class KernelSettings(Strict):
    """Which kernel, and its ridge (docs/algorithms.md, Kernel regression)."""

    kernel: Literal["ntk", "nngp", "features"] = Field(
        "ntk",
        description="ntk: neural tangent kernel of an infinitely wide fully connected ReLU network; nngp: the kernel of such a "
        "network whose last layer alone learns; features: that of the features of `kernel_networks` random networks of the "
        "cell's architecture.",
    )
    depth: int = Field(1, ge=1, le=100, description="ntk, nngp: hidden layers.")
    bias_std: float = Field(0.1, ge=0, description="ntk, nngp: standard deviation of the biases.")
    kernel_networks: int = Field(8, ge=1, description="features: random networks, which stay the same.")
    ridge: float = Field(
        1e-6, gt=0, description="Ridge of the regression, times the mean diagonal of the set's kernel."
    )
