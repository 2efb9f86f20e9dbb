"""What the Snakefile needs while it parses: the plan of the merged configuration, and the file the scripts read it from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from bacon.config.loading import check_config, load_config
from bacon.plan.fingerprint import digest, fingerprint
from bacon.plan.plan import Plan
from bacon.reporting.targets import IMAGES_MODULE, REPORT_MODULE, TARGETS, TEMPLATES, published_digest
from bacon.runtime.atomic import write_json
from bacon.runtime.errors import BaconError
from bacon.settings.cells import CACHE, Cell

if TYPE_CHECKING:
    from bacon.reporting.collect.absent import Absent


def plan(config: Mapping[str, Any], *, source: str = "configuration") -> Plan:
    """The plan of a merged configuration; raises :class:`BaconError`, which names ``source``, on bad input."""
    return Plan(check_config(config, source=source))


def config_path(config: Mapping[str, Any]) -> Path:
    """Where the merged configuration is written, named by its content."""
    return Path(CACHE) / "config" / f"{digest(dict(config))}.json"


def write_config(config: Mapping[str, Any]) -> None:
    """Write the merged configuration for the scripts, once."""
    path = config_path(config)
    if not path.exists():
        write_json(path, dict(config))


def shell_prefix(variables: Mapping[str, Path | str], *, checkout: Path | None = None) -> str:
    """What stands before the command of every rule; Snakemake puts values in its braces.

    Args:
        variables: shell variables that the commands name, and their values.
        checkout: where jobs find this package, if their environment has it not installed.
    """
    lines = [f"{name}={quote(str(value))}; " for name, value in variables.items()]
    if checkout is not None:
        searched = os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH", "")]))
        lines.append(f"export PYTHONPATH={quote(searched)}; ")
    return "".join(lines).replace("{", "{{").replace("}", "}}")


def load_plan(path: Path | str) -> Plan:
    """The plan of a configuration file."""
    return Plan(load_config(path))


def sources_fingerprint(plan: Plan, dataset: str) -> str:
    """Fingerprint of a data set's official archives: what they are, not how they are fetched."""
    return digest({"stage": "download", "source": plan.source(dataset)})


def aggregate_fingerprint(plan: Plan, target: str, published: Path) -> str:
    """Fingerprint of a table or figure of the whole grid: all its inputs and the code that computes it."""
    product = TARGETS[target]
    settings = plan.config.report.model_dump(mode="json", include=set(product.settings))
    extra = {"target": target, "published": published_digest(published), "settings": settings}
    return plan.aggregate_fingerprint((product.module,), extra=extra)


def report_fingerprint(plan: Plan, published: Path) -> str:
    """Fingerprint of the report: the figures in it, its templates, and the settings of every cell with their layers."""
    templates = {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES.iterdir() if path.is_file()}
    groups = [f"{dataset}/{method}/ipc{ipc}" for dataset, method, ipc in shown_groups(plan)]
    cells = (*plan.references, *plan.cells)
    rows = {
        alike: digest(plan.resolved(cell).rows()) for alike, cell in {plan.kind(cell): cell for cell in cells}.items()
    }
    extra = {
        "target": "report",
        "published": published_digest(published),
        "report": plan.config.report.model_dump(mode="json"),
        "figures": aggregate_fingerprint(plan, "figures", published),
        "images": [images_fingerprint(plan, shown_cell(plan, group)) for group in sorted(groups)],
        "templates": templates,
        "preset": plan.config.preset,
        "settings": {str(cell): rows[plan.kind(cell)] for cell in cells},
    }
    return plan.aggregate_fingerprint((REPORT_MODULE,), extra=extra)


def partial_fingerprint(complete: str, absent: Absent) -> str:
    """Fingerprint of a report that does without some results: never that of the complete one.

    Args:
        complete: that of the complete report.
        absent: the results.
    """
    return digest({"report": complete, "absent": absent.lines()})


def images_fingerprint(plan: Plan, cell: Cell) -> str:
    """Fingerprint of the figure of one distilled set."""
    inputs = {"distilled": plan.distilled_fingerprint(cell)}
    return fingerprint("images", settings=plan.names(cell), modules=(IMAGES_MODULE,), inputs=inputs)


def shown_cell(plan: Plan, group: str) -> Cell:
    """The cell whose images are shown for a group such as ``digits/bacon/ipc10``: its first seed."""
    found = plan.first_seeds.get(group)
    if found is None:
        raise BaconError(f"{group!r} matches no cell of the grid; an example of a cell is {plan.cells[0]}")
    return found


def shown_groups(plan: Plan) -> tuple[tuple[str, str, int], ...]:
    """(data set, method, IPC) of every group in the grid."""
    return tuple((cell.dataset, cell.method, cell.ipc or 0) for cell in plan.first_seeds.values())


def check_asked(what: str, asked: str | None, computed: str) -> None:
    """Refuse to compute anything other than what the workflow asked for.

    Args:
        what: the artifact, for the message.
        asked: the fingerprint that the workflow passed; ``None`` when a person runs the script by hand.
        computed: the fingerprint of the current settings and code.

    Raises:
        BaconError: they differ, so the code or the configuration changed after the workflow started.
    """
    if asked is not None and asked != computed:
        raise BaconError(
            f"{what}: the workflow asked for fingerprint {asked}, but settings and code now give {computed}: they "
            "changed while the workflow ran; run snakemake again"
        )
