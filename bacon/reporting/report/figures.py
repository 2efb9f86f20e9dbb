"""The figures of the whole grid with their words."""

from __future__ import annotations

from collections.abc import Iterable

from bacon.reporting.contents import ReportFigure
from bacon.reporting.report.links import Links
from bacon.reporting.report.pictures import figure_picture
from bacon.reporting.report.views import FigureView, Link

IMAGES = "images"


def figure_views(figures: Iterable[ReportFigure], fingerprint: str, links: Links) -> list[FigureView]:
    """The figures, without those of single distilled sets, which each cell shows itself.

    Raises:
        BaconError: a figure is missing, no image, or carries another fingerprint.
    """
    return [
        FigureView(
            title=figure.title,
            caption=figure.caption,
            picture=figure_picture(figure.files["png"], fingerprint),
            files=tuple(link for kind, path in figure.files.items() if (link := links.to(kind, path))),
        )
        for figure in figures
        if figure.topic != IMAGES
    ]


def image_links(figures: Iterable[ReportFigure], links: Links) -> dict[tuple[str, str, int], tuple[Link, ...]]:
    """(data set, method, IPC) -> the figure of the images of its first seed, with class names and initial images."""
    return {
        (figure.dataset, figure.method, figure.ipc): tuple(
            link for kind, path in figure.files.items() if (link := links.to(kind, path))
        )
        for figure in figures
        if figure.topic == IMAGES
        and figure.dataset is not None
        and figure.method is not None
        and figure.ipc is not None
    }
