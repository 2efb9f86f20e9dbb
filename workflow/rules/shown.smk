"""What is shown of the whole grid: its fingerprints, inputs and files, and their places in Snakemake's report; no rules."""

from bacon.reporting.figures.catalogue import drawn
from bacon.reporting.targets import (
    TABLE_TITLES,
    caption_topic,
    image_paths,
    table_names,
)


def shown_fingerprint(name):
    """The params of a rule that shows the whole grid."""
    return lambda wildcards: workflow_plan.aggregate_fingerprint(PLAN, name, PUBLISHED)


def images_fingerprint(wildcards):
    return workflow_plan.images_fingerprint(PLAN, shown_cell(wildcards))


def page_fingerprint(wildcards):
    return workflow_plan.report_fingerprint(PLAN, PUBLISHED)


def shown_cell(wildcards):
    return workflow_plan.shown_cell(
        PLAN, f"{wildcards.dataset}/{wildcards.method}/ipc{wildcards.ipc}"
    )


def first_distilled(wildcards):
    return str(shown_cell(wildcards).distilled_path)


def shown_data(wildcards):
    return str(PLAN.data_path(shown_cell(wildcards)))


def all_images(wildcards=None):
    groups = workflow_plan.shown_groups(PLAN)
    return [str(path) for group in groups for path in image_paths(*group)]


def every_task(wildcards):
    """All results of downstream tasks."""
    return [path for task in PLAN.tasks.names for path in every(task)(wildcards)]


def drawn_figures(wildcards):
    return list(TARGETS["figures"].outputs(PLAN).values())


def in_report(path, topic, category, labels):
    """A file with a caption and a place in Snakemake's report."""
    caption = f"../report/{topic}.rst"
    return report(path, caption=caption, category=category, labels=labels)


def table_files():
    """The tables that the grid has, as named outputs; each CSV goes into Snakemake's report."""
    files = dict(TARGETS["tables"].outputs(PLAN))
    for name in table_names(PLAN):
        key = name if name in files else f"{name}_csv"
        labels = {"table": TABLE_TITLES[name]}
        files[key] = in_report(
            files[key], f"{caption_topic(name)}_table", "1. Tables", labels
        )
    return files


def figure_files():
    """The figures that the grid has, as named outputs; each picture goes into Snakemake's report with its kind's caption."""
    files = {}
    for figure in drawn(PLAN):
        files |= {
            f"{figure.name}_{kind}": str(figure.path(kind)) for kind in figure.kinds
        }
        picture, labels = f"{figure.name}_png", {"figure": figure.title}
        files[picture] = in_report(
            files[picture], f"{figure.topic}_figure", "2. Figures", labels
        )
    return files
