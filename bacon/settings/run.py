"""How jobs run, which changes no number beyond rounding."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bacon.settings.base import Strict

NETWORKS_AT_ONCE = 5
"""Networks of an evaluation that a GPU trains at the same time, unless the run says otherwise."""

WAITING_WEIGHTS_BYTES = 2**30
"""The most memory of the host that weights of a GPU's student wait in, for each cell."""


class RunSettings(Strict):
    """How jobs run; nothing here changes a number beyond rounding, so nothing here makes a cell stale."""

    threads: int = Field(1, ge=1, le=256, description="CPU threads of a distillation or evaluation job.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a free GPU if there is one, else the CPU."
    )
    deterministic: bool = Field(
        True,
        description="On a GPU, give the same bits in every run and across a resume, on one kind of GPU. false lets libraries "
        "take their fastest kernels, whatever the order of their sums. Every artifact records it, and what was half computed "
        "with the other value is not continued (docs/reproducibility.md). A CPU always gives the same bits.",
    )
    chunk_images: int = Field(2048, ge=1, description="Real images embedded at a time; lower it to save memory.")
    real_images: Literal["auto", "device", "host"] = Field(
        "auto",
        description="Where the real images of a GPU's job are kept: on the device, or on the host, which then gathers each "
        "batch and copies it while the GPU computes. auto: on the device where they take at most half of its free memory.",
    )
    progress_seconds: float = Field(10.0, gt=0, description="Seconds between progress lines in log files.")
    checkpoint_seconds: float = Field(
        300.0,
        ge=0,
        description="Seconds between checkpoints of a distillation (0: after every iteration) and of networks trained on the "
        "real set (0: after every epoch).",
    )
    runs_per_job: int = Field(
        10, ge=1, le=1000, description="Number of networks that one job trains on the real set (rule train)."
    )
    runs_at_once: int = Field(
        4,
        ge=1,
        le=64,
        description="Number of networks of such a job that a GPU trains at the same time, because one small network does not "
        "fill a GPU. On a CPU they are trained one after another.",
    )
    networks_at_once: int = Field(
        NETWORKS_AT_ONCE,
        ge=1,
        le=64,
        description="Number of networks of an evaluation that a GPU trains at the same time: its seeds, snapshots and "
        "augmentations; fewer of images larger than 32x32 pixels. Each needs the memory of a training step's maps. On a CPU "
        "they are trained one after another.",
    )
    cells_at_once: int = Field(
        1,
        ge=1,
        le=16,
        description="Number of seeds of a cell that a distillation on a GPU works on at the same time, because a small cell "
        "does not fill a GPU: its own, and seeds of the grid that are not made yet, of which it keeps checkpoints for their "
        "own jobs. Each needs GPU memory of its own, and a little of the host's, which the job asks a scheduler for. Not on "
        "a CPU, not under SLURM, which gives every job a GPU, and not where the real images stay on the host.",
    )
    jobs_per_gpu: int = Field(
        1,
        ge=1,
        le=16,
        description="Number of jobs that may share one GPU of this machine; under SLURM the scheduler decides.",
    )
