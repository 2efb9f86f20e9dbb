"""``python -m benchmarks``: measures speed and memory on this machine; every command says what it compares.

python -m benchmarks distillation --cell cifar10/bacon/ipc10 --published ~/BACON/Code --threads 2 --output speed.json
"""

from __future__ import annotations

import click

from bacon.runtime.errors import BaconError
from benchmarks.commands.outcome import accuracy, memory, precision
from benchmarks.commands.parts import launches, operations, page, workflow
from benchmarks.commands.speed import condensation, distillation, evaluation, gradients, machine, paper, trajectories
from benchmarks.dd_ranking.command import dd_ranking
from benchmarks.gpu.command import gpu
from benchmarks.reproduction.command import reproduce
from benchmarks.reproduction.prediction_command import predictions

COMMANDS = (
    machine,
    distillation,
    gradients,
    condensation,
    trajectories,
    evaluation,
    paper,
    operations,
    launches,
    workflow,
    page,
    accuracy,
    precision,
    memory,
    reproduce,
    predictions,
    gpu,
    dd_ranking,
)


@click.group(help=__doc__)
def main() -> None:
    """Command group."""


for command in COMMANDS:
    main.add_command(command)


def run() -> None:
    """Run, with errors of the user's input as one line."""
    try:
        main.main(standalone_mode=True, prog_name="python -m benchmarks")
    except BaconError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    run()
