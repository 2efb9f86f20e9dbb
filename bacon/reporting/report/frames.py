"""A data frame as a table of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from bacon.reporting.markup import MISSING
from bacon.reporting.report.views import Column, Table, Value

if TYPE_CHECKING:
    from bacon.reporting.contents import ReportTable

# Few enough values to choose one from a list.
_CHOICES = 12


def frame_table(name: str, table: ReportTable) -> Table:
    """A table with every column of its frame; names that have a title beside them are left out.

    Args:
        name: unique in the page.
        table: long form, numeric; missing values are shown as a dash and sorted last.
    """
    frame = table.frame
    kept = [column for column in frame.columns if f"{column}_title" not in frame.columns]
    return Table(
        name=f"table-{name}",
        title=table.title,
        columns=tuple(_column(str(column), frame[column]) for column in kept),
        rows=tuple(tuple(_value(row[column]) for column in kept) for _, row in frame.iterrows()),
        notes=(table.caption,),
    )


def _column(name: str, values: pd.Series[Any]) -> Column:
    numeric = is_numeric_dtype(values) and not is_bool_dtype(values)
    title = name.removesuffix("_title").replace("_percent", " (%)").replace("_points", " (points)").replace("_", " ")
    return Column(title=title, numeric=numeric, choice=not numeric and values.nunique() <= _CHOICES)


def _value(value: Any) -> Value:
    if pd.isna(value):
        return Value(text=MISSING)
    if isinstance(value, str | bool):
        return Value(text=str(value))
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return Value(text=text, sort=float(value))
