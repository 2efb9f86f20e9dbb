"""Distil one cell.

Example: distill.py --config config/config.yaml --cell digits/bacon/ipc1/seed0 --data digits.h5 --output images.h5
"""

from pathlib import Path

from bacon.operations.workflow_plan import check_asked, load_plan
from bacon.runtime.scripts import parser, run
from bacon.settings.cells import Cell


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--cell", required=True, type=Cell.parse, help="DATASET/METHOD/ipcN/seedN")
    options.add_argument("--data", required=True, type=Path, help="the preprocessed data set (HDF5)")
    options.add_argument("--output", required=True, type=Path, help="the distilled set to write (HDF5)")
    options.add_argument("--threads", type=int, default=1, help="CPU threads")
    arguments = options.parse_args()
    plan, cell = load_plan(arguments.config), arguments.cell
    check_asked(str(cell), arguments.fingerprint, plan.distilled_fingerprint(cell))

    from bacon.jobs.distillation_job import run_cell

    run_cell(plan, cell, data=arguments.data, output=arguments.output, threads=arguments.threads)


if __name__ == "__main__":
    run(main)
