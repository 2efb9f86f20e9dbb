"""Fetch the official archives of a data set.

Example: download.py --config config/paper.yaml --dataset cifar10 --output resources/downloads/cifar10/.complete
"""

from pathlib import Path

from bacon.config.loading import data_settings
from bacon.datasets.registry import REGISTRY
from bacon.operations.workflow_plan import check_asked, load_plan, sources_fingerprint
from bacon.runtime.atomic import write_json
from bacon.runtime.scripts import parser, run


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--dataset", required=True, help="name of the data set")
    options.add_argument("--output", required=True, type=Path, help="marker file, written beside the archives")
    arguments = options.parse_args()
    plan, name = load_plan(arguments.config), arguments.dataset
    fingerprint = sources_fingerprint(plan, name)
    check_asked(name, arguments.fingerprint, fingerprint)

    from bacon.datasets.download import download

    data = data_settings(plan.config, name)
    archives = None if data.archives is None else Path(data.archives)
    files = download(REGISTRY[name], arguments.output.parent, archives=archives, mirrors=data.mirrors)
    write_json(arguments.output, {"fingerprint": fingerprint, "files": [file.name for file in files]})


if __name__ == "__main__":
    run(main)
