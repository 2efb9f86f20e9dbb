"""Train some networks on a real training set.

Example: train.py --config config/config.yaml --runs digits/convnet3-3f9c2a1b/runs0-4 --data digits.h5 --output runs0-4.json
"""

from pathlib import Path

from bacon.operations.workflow_plan import check_asked, load_plan
from bacon.runtime.scripts import parser, run
from bacon.settings.cells import RunBlock


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--runs", required=True, type=RunBlock.parse, help="DATASET/KEY/runsN-M")
    options.add_argument("--data", required=True, type=Path, help="the preprocessed data set (HDF5)")
    options.add_argument("--output", required=True, type=Path, help="the index to write (JSON); runs lie beside it")
    options.add_argument("--threads", type=int, default=1, help="CPU threads")
    arguments = options.parse_args()
    plan, block = load_plan(arguments.config), arguments.runs
    fingerprint = plan.training(block.dataset, block.training).block_fingerprint(block)
    check_asked(str(block), arguments.fingerprint, fingerprint)

    from bacon.jobs.training_job import run_training

    run_training(plan, block, data=arguments.data, output=arguments.output, threads=arguments.threads)


if __name__ == "__main__":
    run(main)
