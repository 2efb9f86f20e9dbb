"""Show the images of a distilled set.

Example: images.py --config config/config.yaml --group digits/bacon/ipc1 --output images.png images.pdf
"""

from pathlib import Path

from bacon.operations.products import images_name, note_made
from bacon.operations.workflow_plan import check_asked, images_fingerprint, load_plan, shown_cell
from bacon.runtime.scripts import parser, run


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--group", required=True, help="DATASET/METHOD/ipcN; its first seed is shown")
    options.add_argument("--output", required=True, type=Path, nargs="+", help=".png and .pdf files to write")
    arguments = options.parse_args()
    plan = load_plan(arguments.config)
    cell = shown_cell(plan, arguments.group)
    fingerprint = images_fingerprint(plan, cell)
    check_asked(f"images of {cell}", arguments.fingerprint, fingerprint)

    from bacon.reporting.figures.make_images import make

    make(plan, cell, fingerprint=fingerprint, outputs=arguments.output)
    note_made(plan.directory, images_name(cell.dataset, cell.method, cell.ipc), fingerprint, arguments.output)


if __name__ == "__main__":
    run(main)
