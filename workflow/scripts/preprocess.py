"""Prepare one data set.

Example: preprocess.py --config config/config.yaml --dataset digits --output digits.h5
"""

from pathlib import Path

from bacon.config.loading import data_settings
from bacon.operations.workflow_plan import check_asked, load_plan
from bacon.runtime.scripts import parser, run
from bacon.settings.cells import DOWNLOADS


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--dataset", required=True, help="name of the data set")
    options.add_argument("--output", required=True, type=Path, help="the preprocessed data set to write (HDF5)")
    arguments = options.parse_args()
    plan, name = load_plan(arguments.config), arguments.dataset
    fingerprint = plan.data_fingerprint(name)
    check_asked(name, arguments.fingerprint, fingerprint)

    from bacon.datasets.prepare import prepare

    data = data_settings(plan.config, name)
    prepare(name, data, download_dir=Path(DOWNLOADS) / name, output=arguments.output, fingerprint=fingerprint)


if __name__ == "__main__":
    run(main)
