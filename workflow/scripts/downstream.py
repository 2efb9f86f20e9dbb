"""Run a downstream task on one cell, with one evaluation network where the task depends on it.

Example: downstream.py --config my.yaml --task calibration --place digits/full/convnet --data digits.h5 --output o.json
"""

from pathlib import Path

from bacon.downstream.registry import TASKS
from bacon.operations.workflow_plan import check_asked, load_plan
from bacon.plan.task_stages import cell_and_network
from bacon.runtime.scripts import parser, run


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--task", required=True, choices=TASKS, help="the downstream task")
    options.add_argument(
        "--place",
        required=True,
        help="DATASET/METHOD/ipcN/seedN or DATASET/full, then /NETWORK where the task depends on the evaluation network",
    )
    options.add_argument("--data", required=True, type=Path, help="the preprocessed data set (HDF5)")
    options.add_argument(
        "--images", nargs="?", default="", help="the distilled set (HDF5); not for the full training set"
    )
    options.add_argument("--output", required=True, type=Path, help="the results to write (JSON)")
    options.add_argument("--threads", type=int, default=1, help="CPU threads")
    arguments = options.parse_args()
    plan, task = load_plan(arguments.config), arguments.task
    cell, network = cell_and_network(TASKS[task], arguments.place)
    check_asked(f"{task} {cell} {network}", arguments.fingerprint, plan.tasks.fingerprint(task, cell, network))

    from bacon.jobs.downstream_job import run_downstream

    run_downstream(
        plan,
        task,
        cell,
        network,
        data=arguments.data,
        images=Path(arguments.images) if arguments.images else None,
        output=arguments.output,
        threads=arguments.threads,
    )


if __name__ == "__main__":
    run(main)
