"""Make the tables or figures of the whole grid.

Example: aggregate.py --config config/config.yaml --target tables
"""

import importlib
from pathlib import Path

from bacon.operations.products import note_made
from bacon.operations.workflow_plan import aggregate_fingerprint, check_asked, load_plan
from bacon.reporting.targets import PUBLISHED, TARGETS
from bacon.runtime.scripts import parser, run


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--target", required=True, choices=TARGETS, help="what to make")
    options.add_argument("--published", default=PUBLISHED, type=Path, help="CSV of published accuracies")
    arguments = options.parse_args()
    plan, target = load_plan(arguments.config), TARGETS[arguments.target]
    fingerprint = aggregate_fingerprint(plan, arguments.target, arguments.published)
    check_asked(arguments.target, arguments.fingerprint, fingerprint)
    outputs = {name: Path(path) for name, path in target.outputs(plan).items()}
    importlib.import_module(target.module).make(
        plan, fingerprint=fingerprint, outputs=outputs, published=arguments.published
    )
    note_made(plan.directory, arguments.target, fingerprint, list(outputs.values()))


if __name__ == "__main__":
    run(main)
