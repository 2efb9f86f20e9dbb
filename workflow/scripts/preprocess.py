"""Prepare one data set.

Example: preprocess.py --config config/config.yaml --dataset digits --output digits.h5
"""

from pathlib import Path

from bacon.operations.workflow_plan import check_asked, load_plan
from bacon.runtime.scripts import parser, run
from bacon.settings.cells import DOWNLOADS


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--dataset", required=True, help="name of the data set, or of its other form")
    options.add_argument("--output", required=True, type=Path, help="the preprocessed data set to write (HDF5)")
    arguments = options.parse_args()
    plan, name = load_plan(arguments.config), arguments.dataset
    fingerprint = plan.data_fingerprint(name)
    check_asked(name, arguments.fingerprint, fingerprint)

    from bacon.datasets.prepare import prepare

    prepared = plan.prepared_set(name)
    prepare(
        prepared.dataset,
        prepared.settings,
        download_dir=Path(DOWNLOADS) / prepared.dataset,
        output=arguments.output,
        fingerprint=fingerprint,
    )


if __name__ == "__main__":
    run(main)
