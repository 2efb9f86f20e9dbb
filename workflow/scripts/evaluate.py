"""Train and test the networks of one cell: of one kind under one protocol, or all under every protocol of the configuration.

Example: evaluate.py --config config/config.yaml --cell digits/full --data digits.h5 --output records.json
"""

from pathlib import Path

from bacon.operations.workflow_plan import check_asked, load_plan
from bacon.runtime.scripts import parser, run
from bacon.settings.cells import Cell


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--cell", required=True, type=Cell.parse, help="DATASET/METHOD/ipcN/seedN, or DATASET/full")
    options.add_argument("--network", default="convnet", help="evaluation network")
    options.add_argument(
        "--protocols", action="store_true", help="with every network under every protocol; writes their index"
    )
    options.add_argument("--data", required=True, type=Path, help="the preprocessed data set (HDF5)")
    options.add_argument("--images", type=Path, help="the distilled set (HDF5); not for the full training set")
    options.add_argument("--output", required=True, type=Path, help="the records to write (JSON)")
    options.add_argument("--threads", type=int, default=1, help="CPU threads")
    arguments = options.parse_args()
    plan, cell, network = load_plan(arguments.config), arguments.cell, arguments.network
    paths = {name: getattr(arguments, name) for name in ("data", "images", "output")}
    if arguments.protocols:
        check_asked(str(cell), arguments.fingerprint, plan.evaluations_fingerprint(cell))
    else:
        check_asked(f"{cell} {network}", arguments.fingerprint, plan.evaluation_fingerprint(cell, network))

    from bacon.jobs.evaluation_job import run_evaluation, run_evaluations

    if arguments.protocols:
        run_evaluations(plan, cell, **paths, threads=arguments.threads)
    else:
        run_evaluation(plan, cell, network, **paths, threads=arguments.threads)


if __name__ == "__main__":
    run(main)
