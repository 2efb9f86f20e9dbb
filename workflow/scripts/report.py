"""Make the report of the whole grid.

Example: report.py --config config/config.yaml --output results/report.html
"""

from pathlib import Path

from bacon.operations.products import note_made
from bacon.operations.workflow_plan import aggregate_fingerprint, check_asked, load_plan, report_fingerprint
from bacon.reporting.targets import PUBLISHED, REPORT
from bacon.runtime.scripts import parser, run


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--output", default=Path(REPORT), type=Path, help="the HTML file to write")
    options.add_argument("--published", default=PUBLISHED, type=Path, help="CSV of published accuracies")
    arguments = options.parse_args()
    plan = load_plan(arguments.config)
    fingerprint = report_fingerprint(plan, arguments.published)
    check_asked("report", arguments.fingerprint, fingerprint)

    from bacon.reporting.page.make_report import make

    figures = aggregate_fingerprint(plan, "figures", arguments.published)
    make(
        plan,
        fingerprint=fingerprint,
        figures_fingerprint=figures,
        output=arguments.output,
        published=arguments.published,
    )
    note_made(plan.directory, "report", fingerprint, [arguments.output])


if __name__ == "__main__":
    run(main)
