"""Settings of how a cell's real images are prepared, beyond what its data set says."""

from __future__ import annotations

from pydantic import Field

from bacon.settings.base import Strict


class PreprocessingSettings(Strict):
    """How the images that a cell is distilled from and tested on are prepared."""

    zca: bool | None = Field(
        None,
        description="Whether the cell is distilled, and its networks are tested, on images that are whitened by ZCA (with "
        "data.NAME.zca_epsilon); null: as data.NAME.zca says. A data set that is asked for in both forms is prepared in both.",
    )
