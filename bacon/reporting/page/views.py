"""What the page shows, as plain values: tables, pictures, cells. Texts are as they came; the templates escape them."""

from __future__ import annotations

from dataclasses import dataclass

LONG = 60
"""Rows beyond which a table is shown in pages."""
TALL = 2
"""Times its width that a figure may be high to be shown at once."""
MANY_CELLS = 300
"""Cells beyond which their table is folded, and seeds share what they have in common: images shown and settings."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """One entry of a table."""

    text: str
    sort: float | str | None = None
    """What rows are sorted by; ``None``: the text itself, or last in a column of numbers."""
    best: bool = False
    cells: str = ""
    """Start of the names of the cells behind the number; the page links to them."""
    href: str = ""
    """A file beside the page that the text links to, percent-encoded; empty: none."""
    links: tuple[Link, ...] = ()
    """Links that stand in place of the text."""
    choice: str = ""
    """What it is called in its column's list; empty: as its text."""
    context: str = ""
    """Of a row's heading, on narrow screens: what columns further right say."""
    group: int | None = None
    """Of a row's heading, where rows can be compared with a chosen reference: the group of rows that it is compared in."""
    member: int | None = None
    """The same: the number of its method."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table."""

    title: str
    numeric: bool = True
    choice: bool = False
    """Whether its values are few and can be chosen from a list."""
    ordered: bool = False
    """Whether that list is sorted, numbers by their size, rather than in the order of the rows."""
    wide: bool = False
    """Left out on narrow screens and on paper: the row's heading says the same."""
    difference: bool = False
    """Whether it holds the differences from the reference that the reader chooses."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that can be sorted and filtered; the first column is the rows' heading."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()
    """Headings over the columns after the first, each with the number of columns it spans; empty: no such line."""
    notes: tuple[str, ...] = ()
    differences: str = ""
    """Of every pair of methods, as JSON (:mod:`bacon.reporting.page.pair_numbers`); empty: no reference can be chosen."""
    cards: bool = False
    """Whether each row becomes a card on narrow screens, with the columns' titles beside its entries."""

    @property
    def is_long(self) -> bool:
        """Whether it is shown in pages."""
        return len(self.rows) > LONG


@dataclass(frozen=True, kw_only=True)
class TableGroup:
    """Tables of one kind; where a page has many rows, behind a heading that opens them."""

    title: str
    tables: tuple[Table, ...]
    folded: bool


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image inside the page."""

    uri: str
    """``data:image/webp;base64,...``"""
    shown_width: int
    shown_height: int
    """Pixels that the page gives it where there is room: a whole multiple of the image's own."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A file beside the page."""

    text: str
    href: str
    """Relative to the page, percent-encoded."""


@dataclass(frozen=True, kw_only=True)
class FigureView:
    """A figure with its words."""

    title: str
    caption: str
    picture: Picture
    animation: Picture | None
    """Behind a heading that opens it, so that nothing moves unasked and nothing is decoded before."""
    files: tuple[Link, ...]

    @property
    def is_tall(self) -> bool:
        """Whether it is so much higher than wide that it cannot be read on one screen: it is shown when it is asked for."""
        return self.picture.shown_height > TALL * self.picture.shown_width


@dataclass(frozen=True, kw_only=True)
class NetworkAccuracy:
    """The networks of one architecture trained on the final images of a cell."""

    network: str
    """With the name of its protocol where the grid has several."""
    description: str
    protocol: str
    mean: float
    """Percent."""
    text: str
    values: tuple[str, ...]
    """Test accuracy of each evaluation seed, in percent."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One resolved setting and the layer it came from."""

    key: str
    value: str
    layer: str


@dataclass(frozen=True, kw_only=True)
class ArtifactView:
    """Where one artifact came from; ``facts`` are name and value, in the order to show."""

    what: str
    facts: tuple[tuple[str, str], ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, kw_only=True)
class CellView:
    """A cell: its row in the table of cells, and what opens beneath it."""

    name: str
    anchor: str
    alike: Link | None
    """The cell whose images are shown and whose settings are listed, where this one has its settings but for those listed."""
    row: tuple[Value, ...]
    """The columns after the name."""
    accuracies: tuple[NetworkAccuracy, ...]
    settings: tuple[Setting, ...]
    artifacts: tuple[ArtifactView, ...]
    picture: Picture | None
    picture_caption: str
    picture_links: tuple[Link, ...]
    """Figures of these images or those of another seed, larger and with class names."""


@dataclass(frozen=True, kw_only=True)
class DataView:
    """A data set: its name, what it holds, and what is odd about it."""

    title: str
    contents: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PageRemark:
    """A sentence, and the cells that it is about."""

    text: str
    cells: tuple[Link, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything on the page."""

    title: str
    fingerprint: str
    incomplete: str
    """How many results are not there; empty: all are."""
    absent: tuple[str, ...]
    """Which."""
    best: Table
    """Which method is the best, and what that is worth."""
    state: tuple[PageRemark, ...]
    """How complete the results are, and what in them went wrong."""
    answers: tuple[TableGroup, ...]
    """Methods by IPC, ours beside published."""
    answer_notes: tuple[str, ...]
    """Beneath all of them."""
    results: Table
    """Every method at every place, to be filtered and compared with a reference."""
    figures: tuple[FigureView, ...]
    left_out: tuple[tuple[str, str], ...]
    """Title of a figure that this grid is too small for, and the reason."""
    tables: tuple[TableGroup, ...]
    """Further tables, such as the cost."""
    tables_left_out: tuple[tuple[str, str], ...]
    """Title of a table that has nothing to show for this grid, and the reason."""
    cell_columns: tuple[Column, ...]
    """Columns of the table of cells, the name included."""
    cells: tuple[CellView, ...]
    data: tuple[DataView, ...]
    """Every data set of the grid."""
    origin: tuple[tuple[str, str], ...]
    """What all cells together came from: name and value."""

    @property
    def cells_are_long(self) -> bool:
        """Whether the table of cells is shown in pages."""
        return len(self.cells) > LONG

    @property
    def cells_folded(self) -> bool:
        """Whether the table of cells is behind a heading that opens it."""
        return len(self.cells) > MANY_CELLS


@dataclass(frozen=True, kw_only=True)
class ProtocolView:
    """A protocol as it was used with one network."""

    digest: str
    name: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Everything on the page of many result folders."""

    title: str
    fingerprint: str
    lead: str
    """What the list of the best shows, or why there is none."""
    findings: tuple[str, ...]
    """The best of each group, in sentences; empty where they are too many to read."""
    table: Table
    protocols: tuple[ProtocolView, ...]
    sources: tuple[tuple[str, str], ...]
    """A folder and what was taken from it."""
    remarks: tuple[str, ...]
    """What was counted once or left out."""
