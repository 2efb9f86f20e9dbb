"""The figures of the whole grid with their words."""

from __future__ import annotations

from collections.abc import Iterable

from bacon.reporting.page.contents import ReportFigure
from bacon.reporting.page.links import Links
from bacon.reporting.page.pictures import animation, figure_picture
from bacon.reporting.page.views import FigureView, Link
from bacon.runtime.errors import BaconError

IMAGES = "images"
ANIMATION_BYTES = 16_000_000
"""Characters of the page that animations may take: about what the images of 200 cells take."""


def drawn_now(figures: Iterable[ReportFigure], fingerprint: str) -> list[ReportFigure]:
    """The figures of the whole grid that can be shown: their pictures are there, of this fingerprint, and whole."""
    found = []
    for figure in figures:
        try:
            figure_picture(figure.files["png"], fingerprint)
            if "gif" in figure.files:
                animation(figure.files["gif"], fingerprint)
        except BaconError:
            continue
        found.append(figure)
    return found


def figure_views(figures: Iterable[ReportFigure], fingerprint: str, links: Links) -> list[FigureView]:
    """The figures, without those of single distilled sets, which each cell shows itself.

    Animations are in the page, one after the other, as long as they have room in ``ANIMATION_BYTES``; all are linked.

    Raises:
        BaconError: a figure is missing, not an image, or has another fingerprint.
    """
    views, room = [], ANIMATION_BYTES
    for figure in figures:
        if figure.topic == IMAGES:
            continue
        moving = animation(figure.files["gif"], fingerprint) if "gif" in figure.files else None
        if moving is not None and len(moving.uri) > room:
            moving = None
        room -= len(moving.uri) if moving is not None else 0
        views.append(
            FigureView(
                title=figure.title,
                caption=figure.caption,
                picture=figure_picture(figure.files["png"], fingerprint),
                animation=moving,
                files=tuple(link for kind, path in figure.files.items() if (link := links.to(kind, path))),
            )
        )
    return views


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
