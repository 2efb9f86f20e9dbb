"""The figures of the whole grid with their words."""

from __future__ import annotations

from pathlib import Path

from bacon.reporting.figures import accuracy, curve, loss
from bacon.reporting.report.links import Links
from bacon.reporting.report.pictures import figure_picture
from bacon.reporting.report.views import FigureView

# Protocol and n stand beneath each figure, in the picture itself.
_FIGURES = (
    ("accuracy", accuracy.TITLE, "Marker and bar: mean ± sd over networks; dots: single networks."),
    ("curve", curve.TITLE, "Line and band: mean ± sd over networks; methods that select real images are level lines."),
    ("loss", loss.TITLE, "Line and band: mean ± sd over distillation seeds; shapes can be compared, levels cannot."),
)


def figure_views(folder: Path, fingerprint: str, links: Links) -> list[FigureView]:
    """Every figure in ``folder``; :class:`BaconError` where one is missing, no image, or of another fingerprint."""
    return [_view(name, title, caption, folder, fingerprint, links) for name, title, caption in _FIGURES]


def _view(name: str, title: str, caption: str, folder: Path, fingerprint: str, links: Links) -> FigureView:
    files = [links.to(kind, folder / f"{name}.{kind}") for kind in ("png", "pdf")]
    return FigureView(
        name=name,
        title=title,
        caption=caption,
        picture=figure_picture(folder / f"{name}.png", fingerprint),
        files=tuple(link for link in files if link),
    )
